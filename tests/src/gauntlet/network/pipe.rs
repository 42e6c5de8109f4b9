//! Bytes on their way through a gate, in one direction of one connection.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{sleep, timeout};

use super::rules::{Effects, Rule, Way, count};

/// Room for most batches in one piece.
const PIECE_BYTES_MAX: usize = 64 * 1024;
/// How long a request that its caller no longer waits for may still be worked on by the node.
const LINGER: Duration = Duration::from_millis(500);
/// The first line of a batch of requests.
const BATCH: &[u8] = b"POST /replica/v1/batch ";

/// The connection must be closed in both directions.
#[derive(Debug)]
pub(super) struct Broken;

/// Runs both directions of a connection to their end; dropping the halves closes it.
pub(super) async fn passes(
    there: impl Future<Output = Result<(), Broken>>,
    back: impl Future<Output = Result<(), Broken>>,
) {
    // Either direction may break both.
    tokio::try_join!(there, back).ok();
}

/// One direction.
#[derive(Debug)]
pub(super) struct Pipe<'a> {
    /// The rules on this way.
    pub(super) way: Way,
    /// Where the node listens, for repeats.
    pub(super) address: &'a str,
    /// What is counted.
    pub(super) effects: &'a Effects,
}

impl Pipe<'_> {
    /// From the caller to the node. What the caller has sent arrives even if it has hung up since.
    pub(super) async fn requests(self, from: OwnedReadHalf, mut to: OwnedWriteHalf) -> Result<(), Broken> {
        self.pump(from, &mut to).await?;
        sleep(LINGER).await;
        Ok(())
    }

    /// From the node to the caller. A node that hangs up ends the connection.
    pub(super) async fn answers(self, from: OwnedReadHalf, mut to: OwnedWriteHalf) -> Result<(), Broken> {
        match self.pump(from, &mut to).await {
            Ok(()) => Err(Broken),
            Err(Unwritable::Caller) => Ok(()),
            Err(Unwritable::Rule) => Err(Broken),
        }
    }

    /// Passes bytes on until there are no more.
    async fn pump(mut self, mut from: OwnedReadHalf, to: &mut OwnedWriteHalf) -> Result<(), Unwritable> {
        let mut buffer = vec![0; PIECE_BYTES_MAX];
        let mut has_lost = false;
        loop {
            let rule = self.way.rule();
            if rule == Rule::Cut || (has_lost && rule != Rule::Lose) {
                count(&self.effects.cut);
                return Err(Unwritable::Rule);
            }
            let length = tokio::select! {
                () = self.way.changed() => continue,
                read = from.read(&mut buffer) => read.unwrap_or(0),
            };
            let Some(piece) = buffer.get(..length).filter(|piece| !piece.is_empty()) else { return Ok(()) };
            match self.arrival(piece).await? {
                Arrival::Never => has_lost = true,
                Arrival::Now => to.write_all(piece).await.map_err(|_| Unwritable::Caller)?,
            }
        }
    }

    /// Waits until a piece may arrive, as the rules say.
    async fn arrival(&mut self, piece: &[u8]) -> Result<Arrival, Unwritable> {
        let mut was_held = false;
        loop {
            match self.way.rule() {
                Rule::Pass => return Ok(Arrival::Now),
                Rule::Delay(delay) => {
                    count(&self.effects.delayed);
                    sleep(delay).await;
                    return Ok(Arrival::Now);
                }
                Rule::Hold => {
                    if !was_held {
                        count(&self.effects.held);
                    }
                    was_held = true;
                    self.way.changed().await;
                }
                Rule::Lose => {
                    count(&self.effects.lost);
                    return Ok(Arrival::Never);
                }
                Rule::Cut => {
                    count(&self.effects.cut);
                    return Err(Unwritable::Rule);
                }
                Rule::Repeat(later) => {
                    if is_whole_batch(piece) {
                        count(&self.effects.repeated);
                        tokio::spawn(repeat(self.address.to_owned(), piece.to_vec(), later));
                    }
                    return Ok(Arrival::Now);
                }
            }
        }
    }
}

/// Why bytes cannot go on.
#[derive(Debug)]
enum Unwritable {
    /// Whoever they are for is gone.
    Caller,
    /// A rule broke the connection.
    Rule,
}

impl From<Unwritable> for Broken {
    fn from(_: Unwritable) -> Self {
        Self
    }
}

/// Whether a piece arrives.
#[derive(Debug)]
enum Arrival {
    Now,
    Never,
}

/// Whether the piece is one batch of requests from its first byte to its last.
fn is_whole_batch(piece: &[u8]) -> bool {
    let Some(end) = piece.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let (head, body) = piece.split_at(end + 4);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    piece.starts_with(BATCH) && length == Some(body.len())
}

/// Delivers a batch once more, on a connection of its own; nobody hears the answer.
async fn repeat(address: String, batch: Vec<u8>, later: Duration) {
    sleep(later).await;
    let Ok(mut node) = TcpStream::connect(&address).await else { return };
    if node.write_all(&batch).await.is_ok() {
        let mut answer = [0; 1024];
        timeout(LINGER, node.read(&mut answer)).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_repeated_only_when_it_is_whole() {
        let batch = "POST /replica/v1/batch HTTP/1.1\r\nhost: n\r\nContent-Length: 3\r\n\r\nabc";
        assert!(is_whole_batch(batch.as_bytes()));
        assert!(!is_whole_batch(&batch.as_bytes()[..batch.len() - 1]));
        assert!(!is_whole_batch(format!("{batch}POST").as_bytes()));
        assert!(!is_whole_batch(b"GET /replica/v1/hello HTTP/1.1\r\ncontent-length: 0\r\n\r\n"));
    }
}
