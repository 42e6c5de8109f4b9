//! Random lives of one counter through rounds that are chosen, lost, or found again later.

use proptest::prelude::*;

use super::*;

/// What happens to a round after its Accept was sent.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// Chosen, and its answers are told.
    Chosen,
    /// It reached nobody.
    Lost,
    /// One replica took it, and the next round may find it there.
    Lingers,
}

#[derive(Debug, Clone)]
struct Step {
    fate: Fate,
    /// Which register the round finds: the chosen one, or one of those that linger.
    finds: usize,
    elapsed_ms: u64,
    /// Operations to propose: a client's key (repeats are likely) or none.
    operations: Vec<Option<u8>>,
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![Just(Fate::Chosen), Just(Fate::Lost), Just(Fate::Lingers)];
    let operations = prop::collection::vec(prop::option::of(0_u8..12), 0..5);
    let elapsed = prop_oneof![4 => 1_u64..20, 1 => 1_000_u64..40_000];
    (fate, 0_usize..6, elapsed, operations).prop_map(|(fate, finds, elapsed_ms, operations)| Step {
        fate,
        finds,
        elapsed_ms,
        operations,
    })
}

/// The world as one careful router sees it: the chosen register, and later ones that linger at minorities.
struct Life {
    limits: HistoryLimits,
    now_ms: u64,
    chosen: Register,
    lingering: Vec<Register>,
    /// Increments without a client's key that have no answer yet.
    open: Vec<Proposal>,
    /// Values told for operations without a client's key, and for each client's key.
    told: Vec<i64>,
    told_keyed: std::collections::BTreeMap<u8, Answer>,
    unknown: i64,
}

impl Life {
    fn run(&mut self, step: &Step) -> Result<(), TestCaseError> {
        self.now_ms += step.elapsed_ms;
        let found = self.lingering.get(step.finds).unwrap_or(&self.chosen).clone();
        let mut proposals = std::mem::take(&mut self.open);
        let keys: Vec<Option<u8>> =
            proposals.iter().map(|_| None).chain(step.operations.iter().copied()).collect();
        for key in &step.operations {
            // Born when the world began, so that the floor of a long life passes it.
            proposals.push(Proposal::new(key.map_or(increment(1), |id| keyed(id.into(), 1, increment(1)))));
        }
        let context = RoundContext {
            ballot: ballot(self.now_ms),
            judge_ms: self.now_ms,
            lag_ms: 0,
            no_room: false,
            limits: &self.limits,
        };
        let Applied { register, answers } = apply(&found, context, &proposals).unwrap();
        prop_assert!(register.version >= found.version);
        prop_assert!(register.history.rounds().len() < self.limits.rounds_max);
        prop_assert!(register.history.ops().len() <= self.limits.ops_max);
        if matches!(step.fate, Fate::Chosen) {
            self.chosen = register;
            self.lingering.clear();
            for (key, answer) in keys.into_iter().zip(answers) {
                self.tell(key, answer)?;
            }
            return Ok(());
        }
        // Nobody is told. The router tries its own again; the clients with a key come again when they like.
        for ((mut proposal, answer), key) in proposals.into_iter().zip(answers).zip(keys) {
            if key.is_none() {
                proposal.attempts.push(Attempt { ballot: ballot(self.now_ms), answer });
                self.open.push(proposal);
            }
        }
        if matches!(step.fate, Fate::Lingers) {
            self.lingering.push(register);
        }
        Ok(())
    }

    fn tell(&mut self, key: Option<u8>, answer: Answer) -> Result<(), TestCaseError> {
        match (key, answer) {
            (None, Answer::Settled(Outcome::Incremented { value, .. })) => self.told.push(value),
            (None, Answer::Forgotten) => self.unknown += 1,
            (Some(_), Answer::Forgotten) => {}
            (Some(key), answer @ Answer::Settled(_)) => {
                if let Some(before) = self.told_keyed.get(&key) {
                    prop_assert_eq!(before, &answer, "a repeat is told the same");
                }
                self.told_keyed.insert(key, answer);
            }
            other => prop_assert!(false, "{:?}", other),
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn increments_take_effect_at_most_once_whatever_becomes_of_their_rounds(
        steps in prop::collection::vec(step(), 1..60),
        rounds_max in 1_usize..5,
        ops_max in 4_usize..9,
    ) {
        let limits = HistoryLimits { rounds_max, ops_max, ..HistoryLimits::STANDARD };
        let chosen = Register::absent(Ballot::ZERO);
        let mut life = Life {
            limits, now_ms: 1, chosen, lingering: Vec::new(),
            open: Vec::new(), told: Vec::new(), told_keyed: Default::default(), unknown: 0,
        };
        for step in &steps {
            life.run(step)?;
        }
        // Everything that is still open gets its answer, and every client asks once more.
        life.run(&Step { fate: Fate::Chosen, finds: 0, elapsed_ms: 1, operations: vec![] })?;
        let keyed: Vec<i64> = life.told_keyed.values().map(|answer| match answer {
            Answer::Settled(Outcome::Incremented { value, .. }) => *value,
            other => panic!("{other:?}"),
        }).collect();
        let mut told: Vec<i64> = life.told.iter().copied().chain(keyed).collect();
        told.sort_unstable();
        let told_count = told.len();
        told.dedup();
        prop_assert_eq!(told.len(), told_count, "no count was told twice");
        let count: i64 = life.chosen.content.value()
            .map_or(0, |value| std::str::from_utf8(&value.bytes).unwrap().parse().unwrap());
        // A client's key whose round was found again may never have been told: it counts among the unknown.
        let most = i64::try_from(told_count).unwrap() + life.unknown + 12;
        prop_assert!(i64::try_from(told_count).unwrap() <= count && count <= most, "{count} of {told_count}");
    }
}
