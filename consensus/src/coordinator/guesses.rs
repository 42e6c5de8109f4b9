//! Whether it pays to ask for the next ballot of keys that nobody wrote lately.
//!
//! Whose such a key is, and whether it is written again soon, is a guess. Where records are created and then changed,
//! most guesses are good; where millions of keys are loaded, none is. So the fate of those that were made decides
//! whether further ones are.

/// What became of the guesses lately.
#[derive(Debug)]
pub(super) struct Guesses {
    /// The share that was of use, of [`Self::ALL`]; older ones count less and less.
    useful: u32,
    /// Rounds that could have guessed since the last trial.
    untried: u32,
}

impl Guesses {
    const ALL: u32 = 1 << 16;
    /// Guesses are made while this share of them is of use, of [`Self::ALL`]: a quarter. What a useful one saves is a
    /// trip; a useless one costs a place in the tables of router and replicas.
    const WORTH: u32 = Self::ALL / 4;
    /// A new guess counts for one part in so many.
    const MEMORY: u32 = 64;
    /// Where they are not worth it one in so many is made all the same, to learn when that changes.
    const TRIAL_EVERY: u32 = 16;
    /// One that another proposer voided costs a refused round: as much as so many useless ones.
    const REFUSED_COUNTS: u32 = 4;

    /// All of them count as useful before anything is known.
    pub(super) fn new() -> Self {
        Self { useful: Self::ALL, untried: 0 }
    }

    /// Whether the next round may guess.
    pub(super) fn may_try(&mut self) -> bool {
        if self.useful >= Self::WORTH {
            return true;
        }
        self.untried = (self.untried + 1) % Self::TRIAL_EVERY;
        self.untried == 0
    }

    /// One saved a trip.
    pub(super) fn was_useful(&mut self) {
        self.useful += (Self::ALL - self.useful).div_ceil(Self::MEMORY);
    }

    /// One was not used in time.
    pub(super) fn was_useless(&mut self) {
        self.useful -= self.useful.div_ceil(Self::MEMORY);
    }

    /// One was used, and another proposer had been there.
    pub(super) fn was_refused(&mut self) {
        (0..Self::REFUSED_COUNTS).for_each(|_| self.was_useless());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(guesses: &mut Guesses, rounds: usize) -> usize {
        (0..rounds).filter(|_| guesses.may_try()).count()
    }

    #[test]
    fn guesses_are_made_while_a_quarter_is_of_use() {
        let mut guesses = Guesses::new();
        assert_eq!(tried(&mut guesses, 100), 100, "nothing is known yet");
        for _ in 0..200 {
            guesses.was_useful();
            (0..2).for_each(|_| guesses.was_useless());
        }
        assert_eq!(tried(&mut guesses, 100), 100, "a third");
        for _ in 0..200 {
            guesses.was_useful();
            (0..5).for_each(|_| guesses.was_useless());
        }
        assert_eq!(tried(&mut guesses, 160), 10, "a sixth");
    }

    #[test]
    fn trials_find_out_that_guesses_are_good_again() {
        let mut guesses = Guesses::new();
        (0..1_000).for_each(|_| guesses.was_useless());
        let mut rounds = 0;
        while tried(&mut guesses, 2) < 2 {
            (0..tried(&mut guesses, 16)).for_each(|_| guesses.was_useful());
            rounds += 18;
        }
        assert!(rounds < 600, "{rounds}");
    }

    #[test]
    fn refused_guess_counts_for_four() {
        let (mut refused, mut useless) = (Guesses::new(), Guesses::new());
        refused.was_refused();
        (0..4).for_each(|_| useless.was_useless());
        assert_eq!(refused.useful, useless.useful);
    }
}
