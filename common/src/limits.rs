//! Limits that the system sets on a process.

use std::io;

/// Raises the number of files and sockets that this process may have open to the highest that the system
/// grants without privileges, and tells it.
///
/// # Errors
/// When the system doesn't let the limit be read or raised; it stands as it was then.
pub fn raise_open_files() -> io::Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_limit_is_raised_to_the_hard_limit() {
        let granted = raise_open_files().unwrap();
        let (soft, hard) = rlimit::Resource::NOFILE.get().unwrap();
        assert_eq!((soft, hard), (granted, granted));
    }
}
