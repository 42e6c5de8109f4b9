//! Listings under way, and the reads that they wait for.

use bytes::Bytes;
use roundtable_consensus::{Key, NodeIndex, Now, Task, Token};

use super::listing::Listing;
use super::service::{Pending, Service};
use super::{RouterOutput, Told};
use crate::exchange::{Path, Post};

impl Service {
    pub(super) fn list(
        &mut self,
        now: Now,
        token: Token,
        timeout_us: u64,
        reverse: bool,
        out: &mut RouterOutput,
    ) {
        let listing = Listing::new(now.mono_us + timeout_us, reverse);
        self.listings.insert(token, listing);
        self.advance_listing(now, token, out);
        self.settle_listings(now, out);
    }

    /// Sends a listing's question to a node.
    pub(super) fn ask_scan(
        &mut self,
        listing: Token,
        ask: usize,
        node: NodeIndex,
        body: Bytes,
        timeout_us: u64,
    ) {
        let place = usize::from(node.0);
        let post = Post { id: 0, node: place, path: Path::Scan, body, timeout_us, accepts: Vec::new() };
        self.unnumbered.push((Pending::Scan { listing, ask, node }, post));
    }

    /// Reads a key for a listing. Returns the read's name.
    pub(super) fn read_for(
        &mut self,
        now: Now,
        listing: Token,
        key: &Key,
        timeout_us: u64,
        out: &mut RouterOutput,
    ) -> Token {
        self.next_own += 1;
        self.counts.listed_by_read += 1;
        let token = Token(self.next_own);
        self.reads.insert(token, listing);
        self.submit(now, token, key, None, Task::Read, timeout_us, out);
        token
    }

    /// Hands listings the reads that they waited for.
    pub(super) fn settle_listings(&mut self, now: Now, out: &mut RouterOutput) {
        while let Some((listing, read, answer)) = self.reads_done.pop() {
            if let Some(waiting) = self.listings.get_mut(&listing) {
                waiting.on_read(read, answer);
            }
            self.advance_listing(now, listing, out);
        }
    }

    /// Lets a listing go on as far as it can.
    pub(super) fn advance_listing(&mut self, now: Now, token: Token, out: &mut RouterOutput) {
        let Some(mut listing) = self.listings.remove(&token) else { return };
        let result = listing.advance(self, now, token, out);
        match result {
            None => drop(self.listings.insert(token, listing)),
            Some(result) => {
                self.counts.listings += u64::from(result.is_ok());
                self.reads.retain(|_, of| *of != token);
                out.told.push((token, Told::Listing(result)));
            }
        }
    }
}
