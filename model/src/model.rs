//! The states of the protocol in one scope, and the steps between them.

use roundtable_consensus::{HistoryLimits, Token};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};
use stateright::{Model, Property};

use crate::acceptor::Acceptor;
use crate::network::{Letter, Network};
use crate::properties::{self, Reach};
use crate::proposer::Proposer;
use crate::{Counter, Op, Variant};

/// How much may happen. Everything within it is explored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// For each proposer its batches of operations; a batch shares a round.
    pub operations: Vec<Vec<Vec<Op>>>,
    /// Rounds and reads that each proposer may start.
    pub works: u8,
    /// Times that a proposer is told that a message was lost; it may have been delivered, or still be.
    pub losses: u8,
    /// Messages that are delivered twice.
    pub duplicates: u8,
    /// Times that a proposer asks a further replica without need.
    pub widenings: u8,
    /// Restarts of nodes.
    pub restarts: u8,
    /// History that registers carry.
    pub limits: HistoryLimits,
    /// What must be reached.
    pub reaches: Vec<Reach>,
}

impl Scope {
    /// Two proposers with an operation each, two tries, nothing else.
    #[must_use]
    pub fn of(operations: Vec<Vec<Vec<Op>>>) -> Self {
        let limits = HistoryLimits::STANDARD;
        let reaches = vec![Reach::EverybodyAnswered];
        Self { operations, works: 2, losses: 0, duplicates: 0, widenings: 0, restarts: 0, limits, reaches }
    }
}

/// The protocol, or a broken variant of it, in a scope.
#[derive(Debug, Clone)]
pub struct Protocol {
    /// How much may happen.
    pub scope: Scope,
    /// Which rules hold.
    pub variant: Variant,
}

/// One state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub(crate) acceptors: Vec<Acceptor>,
    pub(crate) proposers: Vec<Proposer>,
    pub(crate) network: Network,
    /// What clients asked and were told.
    pub(crate) history: LinearizabilityTester<u64, Counter>,
    /// Operations without an answer.
    pub(crate) open: usize,
    losses: u8,
    duplicates: u8,
    widenings: u8,
    restarts: u8,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A proposer takes up its next batch.
    Begin(usize),
    /// A message arrives; if it is still waited for, its reply too.
    Deliver(Letter),
    /// A message arrives and will arrive again.
    Duplicate(Letter),
    /// A message arrives; its reply is lost.
    DeliverInVain(Letter),
    /// A proposer is told that a message was lost, which may arrive nevertheless.
    Lose(Letter),
    /// A proposer asks a further replica.
    Widen(usize),
    /// A node restarts.
    Restart(usize),
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut client = 0;
        let mut proposers = Vec::new();
        for (name, batches) in self.scope.operations.iter().enumerate() {
            let mut numbered = |op: &Op| {
                client += 1;
                (Token(client), op.clone())
            };
            let batches = batches.iter().map(|batch| batch.iter().map(&mut numbered).collect()).collect();
            proposers.push(Proposer::new(name, batches, self.scope.works, self.scope.limits, self.variant));
        }
        vec![State {
            acceptors: (0..3).map(|_| Acceptor::new()).collect(),
            proposers,
            network: Network::default(),
            history: LinearizabilityTester::new(Counter::default()),
            open: 0,
            losses: self.scope.losses,
            duplicates: self.scope.duplicates,
            widenings: self.scope.widenings,
            restarts: self.scope.restarts,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (name, proposer) in state.proposers.iter().enumerate() {
            if proposer.work.is_none() && !proposer.batches.is_empty() && proposer.works_left > 0 {
                actions.push(Action::Begin(name));
            }
            if proposer.work.is_some() && state.widenings > 0 {
                actions.push(Action::Widen(name));
            }
        }
        for letter in state.network.under_way.keys() {
            actions.push(Action::Deliver(*letter));
            if state.duplicates > 0 {
                actions.push(Action::Duplicate(*letter));
            }
            if state.losses > 0 && state.network.awaited.contains(letter) {
                actions.push(Action::DeliverInVain(*letter));
            }
        }
        if state.losses > 0 {
            actions.extend(state.network.awaited.iter().map(|letter| Action::Lose(*letter)));
        }
        if state.restarts > 0 {
            actions.extend((0..state.acceptors.len()).map(Action::Restart));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin(name) => state.begin(name),
            Action::Deliver(letter) => state.deliver(letter, self.variant, true),
            Action::Duplicate(letter) => {
                state.duplicates -= 1;
                let again = state.network.under_way.get(&letter).cloned()?;
                state.deliver(letter, self.variant, true);
                state.network.under_way.insert(letter, again);
            }
            Action::DeliverInVain(letter) => {
                state.losses -= 1;
                state.deliver(letter, self.variant, false);
                state.hear(letter, None);
            }
            Action::Lose(letter) => {
                state.losses -= 1;
                state.hear(letter, None);
            }
            Action::Widen(name) => {
                state.widenings -= 1;
                let told = state.proposers.get_mut(name)?.widen(&mut state.network);
                state.tell(told);
            }
            Action::Restart(node) => {
                state.restarts -= 1;
                state.acceptors.get_mut(node)?.restart(self.variant);
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(&self.scope.reaches)
    }
}

impl State {
    fn begin(&mut self, name: usize) {
        let Some(proposer) = self.proposers.get_mut(name) else { return };
        for (client, op) in proposer.begin(&mut self.network) {
            self.open += 1;
            let Ok(_) = self.history.on_invoke(client.0, op) else { panic!("a client asks once") };
        }
    }

    fn deliver(&mut self, letter: Letter, variant: Variant, answered: bool) {
        let Some(body) = self.network.under_way.remove(&letter) else { return };
        let Some(acceptor) = self.acceptors.get_mut(letter.to) else { return };
        let reply = acceptor.handle(body, variant);
        if answered && self.network.awaited.contains(&letter) {
            self.hear(letter, Some(reply));
        }
    }

    fn hear(&mut self, letter: Letter, reply: Option<roundtable_consensus::ReplyBody>) {
        self.network.awaited.remove(&letter);
        let Some(proposer) = self.proposers.get_mut(letter.from) else { return };
        let told = proposer.hear(letter, reply, &mut self.network);
        self.tell(told);
    }

    fn tell(&mut self, told: Vec<crate::proposer::Told>) {
        for (client, ret) in told {
            if let Some(ret) = ret {
                self.open -= 1;
                let Ok(_) = self.history.on_return(client.0, ret) else { panic!("a client is told once") };
            }
        }
    }
}
