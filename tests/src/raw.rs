//! Bytes on a socket, for requests that no proper client sends.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// Longer than any time limit of the product on a connection.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// A connection on which anything may be written.
#[derive(Debug)]
pub struct Raw(TcpStream);

impl Raw {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    #[must_use]
    pub fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(READ_WITHIN)).unwrap();
        Self(stream)
    }

    /// Writes bytes. A server that has refused already may have closed: that shows when the answer is read.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.0.write_all(bytes.as_ref()).ok();
        self
    }

    /// Says that nothing more is coming.
    pub fn finish(&mut self) -> &mut Self {
        self.0.shutdown(Shutdown::Write).ok();
        self
    }

    /// Reads one answer's head, up to its empty line, and returns its status with the head as text.
    /// `None` when the server closes without an answer.
    ///
    /// # Panics
    /// When nothing comes in time, or it is no HTTP.
    pub fn head(&mut self) -> Option<(u16, String)> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match self.0.read(&mut byte) {
                Ok(1) => head.extend_from_slice(&byte),
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&head)),
            }
        }
        if head.is_empty() {
            return None;
        }
        let text = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let status = text.strip_prefix("http/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        Some((status.unwrap_or_else(|| panic!("no HTTP: {text:?}")), text))
    }

    /// The status of the answer, if one comes.
    pub fn status(&mut self) -> Option<u16> {
        self.head().map(|(status, _)| status)
    }

    /// Reads one answer with its body, whose length it must tell, and leaves the connection as it is. `None` when
    /// the server closes without an answer.
    ///
    /// # Panics
    /// When the answer is not whole.
    pub fn answer(&mut self) -> Option<(u16, String)> {
        let (status, head) = self.head()?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .map_or(0, |length| length.trim().parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        Some((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// Whether the server has closed the connection already and nothing lies unread.
    ///
    /// # Panics
    /// When the socket does not let itself be asked.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let found = self.0.peek(&mut [0]);
        self.0.set_nonblocking(false).unwrap();
        matches!(found, Ok(0)) || found.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
    }

    /// Whether the server closes the connection, whatever it may send before.
    #[must_use]
    pub fn closes(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}
