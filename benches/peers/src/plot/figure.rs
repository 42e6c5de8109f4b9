//! What a plot shows, before anything is drawn.

use crate::case::{Operation, System};
use crate::results::Results;
use crate::row::Medians;

/// How values become heights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Linear,
    Logarithmic,
}

/// One plot of several panels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) scale: Scale,
    pub(crate) panels: Vec<Panel>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    /// The numbers of connections for which there are values, in order.
    pub(crate) connections: Vec<u32>,
    pub(crate) lines: Vec<Line>,
}

/// One system: a value for some of the numbers of connections.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) system: System,
    /// The number of connections and the value there.
    pub(crate) points: Vec<(u32, f64)>,
}

/// Of one column of the results, at the main size and keys; nothing if no operation has figures.
pub(crate) fn figure(
    results: &Results,
    title: &'static str,
    unit: &'static str,
    scale: Scale,
    operations: &[Operation],
    column: fn(&Medians) -> f64,
) -> Option<Figure> {
    let panels: Vec<Panel> =
        operations.iter().filter_map(|&operation| panel(results, operation, column)).collect();
    (!panels.is_empty()).then_some(Figure { title, unit, scale, panels })
}

fn panel(results: &Results, operation: Operation, column: fn(&Medians) -> f64) -> Option<Panel> {
    let mut connections: Vec<u32> = results
        .rows
        .iter()
        .filter(|row| row.case.operation == operation)
        .map(|row| row.case.connections)
        .filter(|&connections| {
            results.systems().iter().any(|&system| results.main_row(system, operation, connections).is_some())
        })
        .collect();
    connections.sort_unstable();
    connections.dedup();
    let point = |system, connections| {
        let medians = results.main_row(system, operation, connections)?.medians();
        // A case in which nothing succeeded has no place on a logarithmic scale.
        Some((connections, column(&medians))).filter(|(_, value)| *value > 0.0)
    };
    let points = |system| connections.iter().filter_map(|&count| point(system, count)).collect::<Vec<_>>();
    let lines: Vec<Line> = results
        .systems()
        .into_iter()
        .map(|system| Line { system, points: points(system) })
        .filter(|line| !line.points.is_empty())
        .collect();
    (!lines.is_empty()).then(|| Panel { title: operation.name(), connections: connections.clone(), lines })
}

impl Panel {
    /// The least and the greatest value.
    pub(crate) fn extremes(&self) -> (f64, f64) {
        let values = || self.lines.iter().flat_map(|line| &line.points).map(|(_, value)| *value);
        (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{results, row, window};

    #[test]
    fn panel_holds_what_was_measured_in_order() {
        let of =
            |system, connections, ops| row(system, Operation::Put, connections, vec![window(ops, 1, 2, 3.0)]);
        let mut of_another_size = of(System::Redis, 16, 9);
        of_another_size.case.value_bytes = 100;
        let results = results(vec![
            of(System::Redis, 64, 20),
            of(System::Redis, 1, 10),
            of(System::Roundtable, 64, 30),
            of_another_size,
        ]);
        let operations = [Operation::Put, Operation::Get];
        let figure = figure(&results, "t", "u", Scale::Linear, &operations, |m| m.ops_per_s).unwrap();
        assert_eq!(figure.panels.len(), 1, "nothing was read");
        let panel = &figure.panels[0];
        assert_eq!(panel.connections, [1, 64], "16 connections were measured for another size alone");
        assert_eq!(
            panel.lines,
            [
                Line { system: System::Roundtable, points: vec![(64, 30.0)] },
                Line { system: System::Redis, points: vec![(1, 10.0), (64, 20.0)] },
            ]
        );
        assert_eq!(panel.extremes(), (10.0, 30.0));
    }
}
