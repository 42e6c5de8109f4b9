//! The states of the protocol in one scope, and the steps between them.

use std::collections::{BTreeMap, BTreeSet};

use roundtable_consensus::{ReplyBody, RequestBody, Token, Version};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};
use stateright::{Model, Property};

use crate::acceptor::Acceptor;
use crate::network::{Letter, Network};
use crate::properties::{self, Fencing, Lineage, Reach};
use crate::proposer::{Proposer, Rules, Told};
use crate::scope::{Budget, Scope};
use crate::{Counter, Op, Variant};

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
    pub(crate) open: BTreeMap<Token, Op>,
    /// Whether what clients were told could have come from one copy.
    pub(crate) linearizable: bool,
    pub(crate) lineage: Lineage,
    pub(crate) fencing: Fencing,
    /// Of what the scope must reach, what happened in the past of this state.
    pub(crate) reached: BTreeSet<Reach>,
    /// What may still happen.
    left: Budget,
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
    /// A message arrives; its reply does not, and nobody learns so.
    DeliverInSilence(Letter),
    /// A proposer is told that a message was lost, which may arrive nevertheless.
    Lose(Letter),
    /// A proposer asks a further replica.
    Widen(usize),
    /// A node restarts.
    Restart(usize),
    /// A node loses its disk.
    LoseDisk(usize),
    /// A proposer stops, and starts again.
    Crash(usize),
    /// A proposer's clock reaches the end of values that have one.
    End(usize),
    /// A proposer's clock leaps ahead.
    Leap(usize),
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut client = 0;
        let mut proposers = Vec::new();
        let start = self.scope.start_register();
        let known = start.as_ref().map(|register| register.version);
        for (name, (batches, works)) in self.scope.operations.iter().zip(&self.scope.works).enumerate() {
            let mut numbered = |op: &Op| {
                client += 1;
                (Token(client), op.clone())
            };
            let batches = batches.iter().map(|batch| batch.iter().map(&mut numbered).collect()).collect();
            let rules = Rules {
                limits: self.scope.limits,
                head_starts: self.scope.head_starts,
                variant: self.variant,
            };
            proposers.push(Proposer::new(name, batches, *works, known, rules));
        }
        vec![State {
            acceptors: (0..3).map(|_| Acceptor::new(start.clone())).collect(),
            proposers,
            network: Network::default(),
            history: LinearizabilityTester::new(self.scope.start_counter()),
            open: BTreeMap::new(),
            linearizable: true,
            lineage: Lineage::new(start),
            fencing: Fencing::new(known.unwrap_or(Version::ZERO)),
            reached: BTreeSet::new(),
            left: self.scope.budget,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let left = &state.left;
        for (name, proposer) in state.proposers.iter().enumerate() {
            let works = proposer.work.is_some();
            if !works && !proposer.batches.is_empty() && proposer.works_left > 0 {
                actions.push(Action::Begin(name));
            }
            if works && left.widenings > 0 {
                actions.push(Action::Widen(name));
            }
            if works && left.crashes > 0 {
                actions.push(Action::Crash(name));
            }
            if !proposer.past_end && left.ends > 0 {
                actions.push(Action::End(name));
            }
            if left.leaps > 0 && proposer.works_left > 0 {
                actions.push(Action::Leap(name));
            }
        }
        for letter in state.network.under_way.keys() {
            actions.push(Action::Deliver(*letter));
            if left.duplicates > 0 {
                actions.push(Action::Duplicate(*letter));
            }
            let awaited = state.network.awaited.contains(letter);
            if left.losses > 0 && awaited {
                actions.push(Action::DeliverInVain(*letter));
            }
            if left.silences > 0 && awaited {
                actions.push(Action::DeliverInSilence(*letter));
            }
        }
        if left.losses > 0 {
            actions.extend(state.network.awaited.iter().map(|letter| Action::Lose(*letter)));
        }
        if left.restarts > 0 {
            actions.extend((0..state.acceptors.len()).map(Action::Restart));
        }
        if left.disks > 0 {
            actions.extend((0..state.acceptors.len()).map(Action::LoseDisk));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin(name) => {
                let told = state.begin(name);
                self.tell(&mut state, name, told);
            }
            Action::Deliver(letter) => self.deliver(&mut state, letter, true),
            Action::Duplicate(letter) => {
                state.left.duplicates -= 1;
                let again = state.network.under_way.get(&letter).cloned()?;
                self.deliver(&mut state, letter, true);
                state.network.under_way.insert(letter, again);
            }
            Action::DeliverInVain(letter) => {
                state.left.losses -= 1;
                self.deliver(&mut state, letter, false);
                self.hear(&mut state, letter, None);
            }
            Action::DeliverInSilence(letter) => {
                state.left.silences -= 1;
                self.deliver(&mut state, letter, false);
            }
            Action::Lose(letter) => {
                state.left.losses -= 1;
                self.hear(&mut state, letter, None);
            }
            Action::Widen(name) => {
                state.left.widenings -= 1;
                let told = state.proposers.get_mut(name)?.widen(&mut state.network);
                self.tell(&mut state, name, told);
            }
            Action::Restart(node) => {
                state.left.restarts -= 1;
                state.acceptors.get_mut(node)?.restart(self.variant);
            }
            Action::LoseDisk(node) => {
                state.left.disks -= 1;
                state.acceptors.get_mut(node)?.lose_disk();
            }
            Action::Leap(name) => {
                state.left.leaps -= 1;
                state.proposers.get_mut(name)?.leap(self.scope.leap_ms);
            }
            Action::Crash(name) => {
                state.left.crashes -= 1;
                state.proposers.get_mut(name)?.crash(&mut state.network);
            }
            Action::End(name) => {
                state.left.ends -= 1;
                state.proposers.get_mut(name)?.past_end = true;
                if state.left.ends + 1 == self.scope.budget.ends {
                    self.let_values_end(&mut state);
                }
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(&self.scope.reaches)
    }
}

impl Protocol {
    /// The first clock has reached the end: from now on time may take each value that has one.
    fn let_values_end(&self, state: &mut State) {
        for name in self.scope.ends() {
            let caller = u64::MAX - name.unsigned_abs();
            let Ok(_) = state.history.on_invoke(caller, Op::End(name)) else { panic!("values end once") };
        }
    }

    fn deliver(&self, state: &mut State, letter: Letter, answered: bool) {
        let nodes = state.acceptors.len();
        let Some(body) = state.network.under_way.remove(&letter) else { return };
        let Some(acceptor) = state.acceptors.get_mut(letter.to) else { return };
        let reply = acceptor.handle(body.clone(), self.variant);
        if let (RequestBody::Accept { register, .. }, ReplyBody::Accepted { .. }) = (&body, &reply) {
            state.lineage.on_accepted(letter.to, nodes, register);
        }
        if answered && state.network.awaited.contains(&letter) {
            self.hear(state, letter, Some(reply));
        }
    }

    fn hear(&self, state: &mut State, letter: Letter, reply: Option<ReplyBody>) {
        state.network.awaited.remove(&letter);
        let Some(proposer) = state.proposers.get_mut(letter.from) else { return };
        let told = proposer.hear(letter, reply, &mut state.network);
        self.tell(state, letter.from, told);
    }

    /// Clients have their answers.
    fn tell(&self, state: &mut State, name: usize, told: Vec<Told>) {
        for Told { client, ret, by } in told {
            let Some(op) = state.open.get(&client) else { continue };
            let Some(mut ret) = ret else {
                state
                    .reached
                    .extend(self.scope.reaches.contains(&Reach::Forgotten).then_some(Reach::Forgotten));
                continue;
            };
            if self.variant == Variant::VersionWithoutIndex {
                ret.version = ret.version.map(|version| Version { index: 0, ..version });
            }
            state.fencing.on_told(client, op, &ret);
            let Some(proposer) = state.proposers.get_mut(name) else { continue };
            if !op.is_keyed() {
                proposer.known = ret.version;
            }
            let lost = state.acceptors.iter().any(|acceptor| acceptor.lost);
            let reached = properties::reached_by(op, &ret, by, proposer, lost);
            state.reached.extend(reached.filter(|reach| self.scope.reaches.contains(reach)));
            state.open.remove(&client);
            let Ok(_) = state.history.on_return(client.0, ret) else { panic!("a client is told once") };
            state.linearizable = state.history.is_consistent();
        }
    }
}

impl State {
    fn begin(&mut self, name: usize) -> Vec<Told> {
        let Some(proposer) = self.proposers.get_mut(name) else { return Vec::new() };
        let (asked, told) = proposer.begin(&mut self.network);
        for (client, op) in asked {
            self.fencing.on_begin(client);
            self.open.insert(client, op.clone());
            let Ok(_) = self.history.on_invoke(client.0, op) else { panic!("a client asks once") };
        }
        told
    }
}
