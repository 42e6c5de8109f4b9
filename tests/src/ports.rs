//! Ports that no other test takes meanwhile.

use std::fs::File;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which the kernel takes ports for outgoing connections, so that none of those collides.
const FIRST: u16 = 18_000;
const COUNT: u16 = 12_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port on 127.0.0.1, reserved among the tests of this machine until it is dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// The port.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}

/// Reserves a port that nobody listens on.
///
/// # Panics
/// When none is free.
#[must_use]
pub fn free_port() -> Port {
    free_ports(1).pop().unwrap()
}

/// Reserves successive ports that nobody listens on.
///
/// # Panics
/// When there are none.
#[must_use]
pub fn free_ports(count: u16) -> Vec<Port> {
    // Processes start at different places, so they rarely contend for the same lock file.
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(count, Ordering::Relaxed));
        let first = FIRST + u16::try_from(start.wrapping_add(step) % u32::from(COUNT)).unwrap();
        let ports: Option<Vec<Port>> = (first..first + count).map(reserve).collect();
        if let Some(ports) = ports {
            return ports;
        }
    }
    panic!("no {count} free ports between {FIRST} and {}", FIRST + COUNT);
}

fn reserve(number: u16) -> Option<Port> {
    let folder = std::env::temp_dir().join("roundtable-test-ports");
    std::fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join(number.to_string())).unwrap();
    let free = lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok();
    free.then_some(Port { number, _lock: lock })
}
