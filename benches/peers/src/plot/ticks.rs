//! Round numbers for an axis.

/// A number with one digit that people count in, at or above a step that divides the range into four.
fn round_step(range: f64) -> f64 {
    let wanted = range / 4.0;
    let power = 10_f64.powf(wanted.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0].into_iter().find(|factor| factor * power >= wanted);
    factor.unwrap_or(10.0) * power
}

/// From 0 to the first round number at or above the greatest value.
pub(crate) fn linear(max: f64) -> Vec<f64> {
    let step = round_step(max.max(f64::MIN_POSITIVE));
    let mut ticks = vec![0.0];
    let mut count = 0_u32;
    while ticks.last().is_some_and(|last| *last < max) {
        count += 1;
        ticks.push(step * f64::from(count));
    }
    ticks
}

/// 1, 3, 10, 30 and so on, from at or below the least value to at or above the greatest.
pub(crate) fn logarithmic(min: f64, max: f64) -> Vec<f64> {
    let mut power = 10_f64.powf(min.log10().floor());
    let mut steps = Vec::new();
    while steps.last().is_none_or(|last| *last < max) {
        steps.extend([power, 3.0 * power]);
        power *= 10.0;
    }
    let first = steps.iter().rposition(|step| *step <= min).unwrap_or(0);
    let last = steps.iter().position(|step| *step >= max).unwrap_or(steps.len() - 1);
    steps.drain(first..=last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_ticks_begin_at_nothing_and_end_above_all() {
        assert_eq!(linear(19_701.0), [0.0, 5_000.0, 10_000.0, 15_000.0, 20_000.0]);
        assert_eq!(linear(40.0), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(linear(60_000.0), [0.0, 20_000.0, 40_000.0, 60_000.0]);
    }

    #[test]
    fn logarithmic_ticks_enclose_the_values() {
        assert_eq!(logarithmic(35.0, 850.0), [30.0, 100.0, 300.0, 1000.0]);
        assert_eq!(logarithmic(30.0, 100.0), [30.0, 100.0]);
        let small = logarithmic(0.31, 94.0);
        assert_eq!(small.len(), 6, "{small:?}");
        assert!(small[0] <= 0.31 && small[5] >= 94.0);
    }
}
