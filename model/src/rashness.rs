//! What broken proposers do: refuse an operation whose condition fails on the word of too few replicas, or while an
//! Accept of it may still take effect.

use roundtable_consensus::{Register, ReplyBody, refusal};

use crate::Variant;
use crate::network::Letter;
use crate::operation::{Ret, What};
use crate::proposer::{Proposer, Told, Work};

impl Proposer {
    /// Before a promise is handed to the round, a broken proposer looks at it.
    pub(crate) fn refuse_rashly(&mut self, letter: Letter, reply: Option<&ReplyBody>) -> Vec<Told> {
        let enough = match self.variant {
            Variant::RefusesForOneReplica => 1,
            Variant::RefusesInDoubt => 2,
            _ => return Vec::new(),
        };
        let Some(ReplyBody::Promised(register)) = reply else { return Vec::new() };
        if letter.work != self.work_count {
            return Vec::new();
        }
        self.words.push(register.clone());
        let alike = self.words.iter().filter(|word| word.accepted == register.accepted).count();
        if alike < enough { Vec::new() } else { self.refuse(register) }
    }

    fn refuse(&mut self, found: &Register) -> Vec<Told> {
        let now_ms = self.now_ms();
        let Some(Work::Round(round)) = &mut self.work else { return Vec::new() };
        let fails = |op: &roundtable_consensus::Operation| refusal(found, now_ms, op).is_some();
        let failing = self.asked.iter().filter(|(_, op)| fails(&op.operation()));
        let withdrawn = failing.filter_map(|(client, _)| round.withdraw(*client));
        let ret = Ret { what: What::Refused, version: found.etag() };
        withdrawn.map(|slot| Told { client: slot.token, ret: Some(ret.clone()), by: None }).collect()
    }
}
