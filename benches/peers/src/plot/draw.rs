//! Draws a figure as SVG.

use std::ops::Range;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::case::System;
use crate::plot::axis::Axis;
use crate::plot::figure::{Figure, Line, Panel, Scale};
use crate::plot::labels::spread;
use crate::plot::style::{FAINT_TEXT, GRID, Ink, PAPER, TEXT, ink, with_dark_scheme};
use crate::plot::ticks;
use crate::report::number;

const WIDTH: u32 = 1000;
const HEAD_HEIGHT: i32 = 62;
const PANEL_HEIGHT: u32 = 270;
const PANELS_PER_ROW: usize = 2;
/// Right of each panel, for the names of the lines.
const LABEL_WIDTH: i32 = 158;
/// Between the middles of two names.
const LABEL_DISTANCE: i32 = 16;
const FONT: &str = "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif";

type Outcome = Result<(), Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

/// The drawing.
pub(crate) fn draw(figure: &Figure) -> Result<String, Box<dyn std::error::Error>> {
    let rows = figure.panels.len().div_ceil(PANELS_PER_ROW);
    let height = PANEL_HEIGHT * u32::try_from(rows)? + HEAD_HEIGHT.unsigned_abs();
    let mut drawing = String::new();
    {
        let root = SVGBackend::with_string(&mut drawing, (WIDTH, height)).into_drawing_area();
        root.fill(&PAPER.light)?;
        root.draw(&Text::new(figure.title, (24, 16), bold(20, TEXT)))?;
        let unit = format!("{}; values of 1 KiB, uniform keys", figure.unit);
        root.draw(&Text::new(unit, (24, 42), text(14, FAINT_TEXT)))?;
        let (_, body) = root.split_vertically(HEAD_HEIGHT);
        for (panel, area) in figure.panels.iter().zip(body.split_evenly((rows, PANELS_PER_ROW))) {
            draw_panel(panel, figure.scale, &area)?;
        }
        root.present()?;
    }
    Ok(with_dark_scheme(&drawing))
}

fn draw_panel(panel: &Panel, scale: Scale, area: &Area<'_>) -> Outcome {
    let (min, max) = panel.extremes();
    let ticks = match scale {
        Scale::Linear => ticks::linear(max),
        Scale::Logarithmic => ticks::logarithmic(min, max),
    };
    let heights: Vec<f64> = ticks.iter().map(|tick| height(*tick, scale)).collect();
    let y_range = Range {
        start: heights.first().copied().unwrap_or_default(),
        end: heights.last().copied().unwrap_or_default(),
    };
    let places: Vec<f64> = panel.connections.iter().map(|&count| place(count)).collect();
    let (first, last) =
        (places.first().copied().unwrap_or_default(), places.last().copied().unwrap_or_default());
    // A single number of connections stands in the middle.
    let x_range = if first < last { first - 0.03 * (last - first)..last } else { first - 1.0..last + 1.0 };
    let mut chart = ChartBuilder::on(area)
        .margin_left(12)
        .margin_right(LABEL_WIDTH)
        .margin_top(34)
        .margin_bottom(10)
        .x_label_area_size(40)
        .y_label_area_size(52)
        .build_cartesian_2d(Axis::new(x_range, places), Axis::new(y_range, heights))?;
    area.draw(&Text::new(panel.title, (24, 10), bold(15, TEXT)))?;
    let connections = |place: &f64| format!("{:.0}", place.exp2());
    let tick_label = |height: &f64| short(value(*height, scale));
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRID.light)
        .light_line_style(TRANSPARENT)
        .axis_style(GRID.light)
        .label_style(text(13, FAINT_TEXT))
        .axis_desc_style(text(13, FAINT_TEXT))
        .x_desc("connections")
        .x_label_formatter(&connections)
        .y_label_formatter(&tick_label)
        .draw()?;
    // Roundtable comes last, on top.
    for line in panel.lines.iter().rev() {
        draw_line(line, scale, &mut chart)?;
    }
    draw_labels(panel, scale, &chart, area)
}

fn draw_line(line: &Line, scale: Scale, chart: &mut Chart<'_, '_>) -> Outcome {
    let points: Vec<(f64, f64)> =
        line.points.iter().map(|&(count, value)| (place(count), height(value, scale))).collect();
    let color = ink(line.system).light;
    let width = if line.system == System::Roundtable { 3 } else { 2 };
    chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(width)))?;
    chart.draw_series(points.into_iter().map(|point| Circle::new(point, width + 1, color.filled())))?;
    Ok(())
}

/// The name and the last value of each line, beside its end.
fn draw_labels(panel: &Panel, scale: Scale, chart: &Chart<'_, '_>, area: &Area<'_>) -> Outcome {
    let (left, top) = area.get_base_pixel();
    let mut labels = Vec::new();
    for line in &panel.lines {
        if let Some(&(count, value)) = line.points.last() {
            let (x, y) = chart.backend_coord(&(place(count), height(value, scale)));
            labels.push((line.system, value, x - left, y - top));
        }
    }
    let wanted: Vec<i32> = labels.iter().map(|label| label.3).collect();
    let bounds = (30, i32::try_from(PANEL_HEIGHT)? - 56);
    // All names stand in one column, also beside a line that ends early.
    let column = labels.iter().map(|label| label.2).max().unwrap_or_default() + 12;
    for (&(system, value, ..), y) in labels.iter().zip(spread(&wanted, LABEL_DISTANCE, bounds)) {
        let name = if system == System::Roundtable { bold(13, ink(system)) } else { text(13, ink(system)) };
        let style = name.pos(Pos::new(HPos::Left, VPos::Center));
        let label = format!("{}: {}", system.name(), number(value));
        area.draw(&Text::new(label, (column, y), style))?;
    }
    Ok(())
}

fn text(size: u32, ink: Ink) -> TextStyle<'static> {
    (FONT, size).into_font().color(&ink.light)
}

fn bold(size: u32, ink: Ink) -> TextStyle<'static> {
    (FONT, size, FontStyle::Bold).into_font().color(&ink.light)
}

/// Where a number of connections is on its axis, which is logarithmic.
fn place(connections: u32) -> f64 {
    f64::from(connections).log2()
}

/// Where a value is on the axis.
fn height(value: f64, scale: Scale) -> f64 {
    match scale {
        Scale::Linear => value,
        Scale::Logarithmic => value.log10(),
    }
}

/// What is there on the axis.
fn value(height: f64, scale: Scale) -> f64 {
    match scale {
        Scale::Linear => height,
        Scale::Logarithmic => 10_f64.powf(height),
    }
}

/// A round number in as few characters as it has: `0.3`, `30`, `20k`.
fn short(value: f64) -> String {
    let (value, suffix) = if value >= 1000.0 { (value / 1000.0, "k") } else { (value, "") };
    let text = format!("{value:.2}");
    format!("{}{suffix}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(scale: Scale) -> Figure {
        let line = |system, values: [f64; 3]| Line {
            system,
            points: [1, 64, 256].into_iter().zip(values).collect(),
        };
        let panel = Panel {
            title: "put",
            connections: vec![1, 64, 256],
            lines: vec![
                line(System::Roundtable, [1500.0, 14_784.0, 19_701.0]),
                line(System::EtcdGrpc, [935.0, 5699.0, 6277.0]),
                line(System::EtcdHttp, [839.0, 4746.0, 6039.0]),
            ],
        };
        Figure { title: "Throughput", unit: "operations per second", scale, panels: vec![panel; 3] }
    }

    #[test]
    fn drawing_names_every_line_where_it_ends() {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            let drawing = draw(&figure(scale)).unwrap();
            for label in
                ["Roundtable: 19,701", "etcd, gRPC: 6,277", "etcd, HTTP: 6,039", "256", "connections"]
            {
                assert!(drawing.matches(label).count() >= 3, "{label} in {drawing}");
            }
            assert!(drawing.contains("prefers-color-scheme:dark"));
        }
    }

    #[test]
    fn tick_labels_are_short() {
        assert_eq!([0.3, 30.0, 2500.0, 20_000.0, 0.0].map(short), ["0.3", "30", "2.5k", "20k", "0"]);
    }
}
