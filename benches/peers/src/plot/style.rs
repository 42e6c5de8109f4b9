//! Colours, in a light and a dark scheme.

use plotters::style::RGBColor;

use crate::case::System;

/// A colour by day and by night. Drawings are made in the first; a style sheet within them exchanges it where the reader
/// prefers dark.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ink {
    pub(crate) light: RGBColor,
    dark: &'static str,
}

pub(crate) const PAPER: Ink = Ink { light: RGBColor(255, 255, 255), dark: "#0d1117" };
pub(crate) const TEXT: Ink = Ink { light: RGBColor(31, 35, 40), dark: "#e6edf3" };
pub(crate) const FAINT_TEXT: Ink = Ink { light: RGBColor(89, 99, 110), dark: "#9198a1" };
pub(crate) const GRID: Ink = Ink { light: RGBColor(225, 228, 232), dark: "#2a313a" };

// Blue, vermilion, ochre and green are told apart by people who see colours otherwise, too (Okabe and Ito's choice, the
// light ones darkened for text on white).
const ROUNDTABLE: Ink = Ink { light: RGBColor(0, 98, 168), dark: "#58a6ff" };
const ETCD_GRPC: Ink = Ink { light: RGBColor(200, 78, 0), dark: "#ff8c4b" };
const ETCD_HTTP: Ink = Ink { light: RGBColor(156, 107, 0), dark: "#e3b341" };
const REDIS: Ink = Ink { light: RGBColor(0, 128, 96), dark: "#3fcf9c" };

/// Of a system, in every plot.
pub(crate) fn ink(system: System) -> Ink {
    match system {
        System::Roundtable => ROUNDTABLE,
        System::EtcdGrpc => ETCD_GRPC,
        System::EtcdHttp => ETCD_HTTP,
        System::Redis => REDIS,
    }
}

/// Puts the style sheet into a drawing.
pub(crate) fn with_dark_scheme(drawing: &str) -> String {
    let inks = [PAPER, TEXT, FAINT_TEXT, GRID, ROUNDTABLE, ETCD_GRPC, ETCD_HTTP, REDIS];
    let rules: Vec<String> = inks
        .iter()
        .map(|Ink { light: RGBColor(red, green, blue), dark }| {
            let light = format!("#{red:02X}{green:02X}{blue:02X}");
            format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}")
        })
        .collect();
    let sheet = format!("<style>@media (prefers-color-scheme:dark){{{}}}</style>\n", rules.concat());
    match drawing.split_once('>') {
        Some((head, rest)) => format!("{head}>\n{sheet}{}", rest.trim_start()),
        None => drawing.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dark_scheme_comes_first_in_the_drawing() {
        let drawing = with_dark_scheme("<svg width=\"1\">\n<rect fill=\"#FFFFFF\"/></svg>");
        assert!(
            drawing.starts_with("<svg width=\"1\">\n<style>@media (prefers-color-scheme:dark){"),
            "{drawing}"
        );
        assert!(drawing.contains("[fill=\"#FFFFFF\"]{fill:#0d1117}"), "{drawing}");
        assert!(drawing.ends_with("</style>\n<rect fill=\"#FFFFFF\"/></svg>"), "{drawing}");
    }
}
