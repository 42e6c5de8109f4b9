//! Agreement: for one key and one ballot there is at most one register.

use std::collections::BTreeMap;

use roundtable_consensus::{Ballot, Key, Register};

use super::Violation;

/// Every register that was ever proposed, by key and ballot.
#[derive(Debug, Default)]
pub(crate) struct Agreement {
    registers: BTreeMap<(Key, Ballot), Register>,
}

impl Agreement {
    /// Takes note of a register in an Accept on its way to a node.
    pub(crate) fn on_accept(&mut self, key: &Key, register: &Register) -> Result<(), Violation> {
        let known =
            self.registers.entry((key.clone(), register.accepted)).or_insert_with(|| register.clone());
        if known == register {
            Ok(())
        } else {
            Err(Violation::Agreement(format!(
                "two registers of {key:?} at one ballot: {known:?} and {register:?}"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use roundtable_consensus::{Content, Hlc, Value};

    use super::*;

    #[test]
    fn two_registers_at_one_ballot_are_noticed() {
        let key = Key::new("k").unwrap();
        let mut watch = Agreement::default();
        let one = Register { accepted: Ballot::floor_of(Hlc(1)), ..Register::absent(Ballot::ZERO) };
        let other = Register { content: Content::Live(Value::default()), ..one.clone() };
        assert_eq!(watch.on_accept(&key, &one), Ok(()));
        assert_eq!(watch.on_accept(&key, &one), Ok(()));
        assert!(watch.on_accept(&key, &other).is_err());
    }
}
