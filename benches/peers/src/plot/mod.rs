//! The plots: throughput, processor time and latency over the number of connections.

mod axis;
mod draw;
mod figure;
mod labels;
mod style;
mod ticks;

use crate::case::Operation;
use crate::failure::{Doing as _, Failure};
use crate::plot::draw::draw;
use crate::plot::figure::{Figure, Scale, figure};
use crate::results::Results;

/// The panels of each plot.
const OPERATIONS: [Operation; 4] = [Operation::Put, Operation::Get, Operation::Mixed, Operation::Hot];

/// Of all plots: the file's name without its ending, what it shows, and the SVG. A plot without figures is left out.
pub(crate) fn plots(results: &Results) -> Result<Vec<(&'static str, String, String)>, Failure> {
    let plots = [
        (
            "throughput",
            figure(
                results,
                "Throughput",
                "operations per second; higher is better",
                Scale::Linear,
                &OPERATIONS,
                |m| m.ops_per_s,
            ),
        ),
        (
            "cpu",
            figure(
                results,
                "Processor time per operation",
                "µs of all servers together; lower is better",
                Scale::Logarithmic,
                &OPERATIONS,
                |m| m.cpu_us_per_op,
            ),
        ),
        (
            "latency",
            figure(
                results,
                "Latency, 99th percentile",
                "milliseconds; lower is better",
                Scale::Logarithmic,
                &OPERATIONS,
                |m| m.p99_ms,
            ),
        ),
    ];
    let mut drawn = Vec::new();
    for (name, figure) in plots {
        if let Some(figure) = figure {
            let drawing = draw(&figure).doing(|| format!("drawing {name}"))?;
            drawn.push((name, caption(&figure), drawing));
        }
    }
    Ok(drawn)
}

fn caption(figure: &Figure) -> String {
    format!("{} over the number of connections: {}", figure.title, figure.unit)
}
