//! An axis whose ticks are given.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;

/// Numbers at even distances, with marks at the given ones alone.
///
/// plotters has the same for integers; its own for fractions can't have its labels formatted.
#[derive(Clone)]
pub(crate) struct Axis {
    coordinate: RangedCoordf64,
    ticks: Vec<f64>,
}

impl Axis {
    /// Over this range.
    pub(crate) fn new(range: Range<f64>, ticks: Vec<f64>) -> Self {
        Self { coordinate: range.into(), ticks }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.coordinate.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            true => Vec::new(),
            false => self.ticks.clone(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.coordinate.range()
    }
}
