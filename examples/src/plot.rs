//! Offset over time as an SVG: how far the clock was off, on a logarithmic scale, and the last part with its sign.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::agent::TracePoint;
use crate::text::magnitude;

const SIZE: (u32, u32) = (960, 640);
/// Font and size of the line above each half.
const CAPTION: (&str, u32) = ("sans-serif", 14);
const OFFSET: RGBColor = RGBColor(31, 96, 196);
const BOUND: RGBColor = RGBColor(230, 159, 0);
const GRID: RGBColor = RGBColor(225, 225, 225);
/// Below this nothing is shown on the logarithmic scale.
const FLOOR: f64 = 1e-8;

/// Writes the plot.
///
/// # Errors
/// The file cannot be written, or there is nothing to plot.
pub fn write(path: &Path, title: &str, trace: &[TracePoint]) -> Result<(), Box<dyn Error>> {
    let (Some(first), Some(last)) = (trace.first(), trace.last()) else {
        return Err("no measurement, nothing to plot".into());
    };
    let span = first.time.as_secs_f64()..last.time.as_secs_f64().max(first.time.as_secs_f64() + 1.0);
    let svg = {
        let mut text = String::new();
        {
            let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
            root.fill(&WHITE)?;
            let root = root.titled(title, ("sans-serif", 22))?;
            let (upper, lower) = root.split_vertically(320);
            let ends = (magnitude(first.offset), magnitude(last.offset));
            logarithmic(&upper, &format!("off by {} at first, by {} at the end", ends.0, ends.1), trace, span.clone())?;
            zoom(&lower, trace, span)?;
            root.present()?;
        }
        text
    };
    Ok(std::fs::write(path, svg)?)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// |offset| in the band of the bound, logarithmic.
fn logarithmic(
    area: &Area<'_>,
    caption: &str,
    trace: &[TracePoint],
    span: std::ops::Range<f64>,
) -> Result<(), Box<dyn Error>> {
    let of = |value: ntp_types::NtpDuration| value.abs().to_seconds_f64().max(FLOOR);
    let values = trace.iter().flat_map(|point| [Some(point.offset), point.bound]).flatten().map(of);
    let (low, high) = values.fold((1.0_f64, FLOOR), |(low, high), value| (low.min(value), high.max(value)));
    let mut chart = ChartBuilder::on(area)
        .caption(caption, CAPTION)
        .margin(10)
        .margin_right(24)
        .x_label_area_size(28)
        .y_label_area_size(78)
        .build_cartesian_2d(span, (low / 2.0..high * 2.0).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .y_desc("|offset|")
        .y_label_formatter(&|value| seconds(*value))
        .x_label_formatter(&|value| format!("{} s", (value * 1e3).round() / 1e3))
        .draw()?;
    // On this scale the band is all that lies under the bound; it is open where none was claimed.
    let claims = trace.chunk_by(|a, b| a.bound.is_some() == b.bound.is_some());
    let mut label = Some("error bound");
    for claim in claims.filter(|claim| claim.iter().all(|point| point.bound.is_some())) {
        let bound = claim.iter().filter_map(|point| Some((point.time.as_secs_f64(), of(point.bound?))));
        let band = AreaSeries::new(bound, low / 2.0, BOUND.mix(0.15)).border_style(BOUND.stroke_width(2));
        let drawn = chart.draw_series(band)?;
        if let Some(label) = label.take() {
            drawn.label(label).legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], BOUND.stroke_width(2)));
        }
    }
    let offset = trace.iter().map(|point| (point.time.as_secs_f64(), of(point.offset)));
    chart
        .draw_series(LineSeries::new(offset, OFFSET.stroke_width(2)))?
        .label("clock's offset")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], OFFSET.stroke_width(2)));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE)
        .border_style(GRID)
        .draw()?;
    Ok(())
}

/// The offset with its sign and the band of the bound, over the second half.
fn zoom(area: &Area<'_>, trace: &[TracePoint], span: std::ops::Range<f64>) -> Result<(), Box<dyn Error>> {
    let middle = (span.start + span.end) / 2.0;
    let late: Vec<_> = trace.iter().filter(|point| point.time.as_secs_f64() >= middle).collect();
    let begin = late.first().map_or(middle, |point| point.time.as_secs_f64()).min(span.end - 1e-3);
    let offset = |point: &&TracePoint| (point.time.as_secs_f64(), point.offset.to_seconds_f64());
    let largest = late.iter().map(|point| point.offset.abs().to_seconds_f64()).fold(1e-7, f64::max);
    let bound = |point: &&&TracePoint| point.bound.map_or(0.0, |bound| bound.to_seconds_f64());
    let widest = late.iter().map(|point| bound(&point)).fold(0.0, f64::max);
    // The band belongs into the picture, but not if the offset became a flat line beside it.
    let height = if widest < largest * 40.0 { largest.max(widest) * 1.2 } else { largest * 2.0 };
    let caption = if late.iter().all(|point| point.bound.is_none()) {
        "the second half with its sign; no error bound was claimed"
    } else if height < widest {
        "the second half with its sign; the error bound is wider than the picture"
    } else {
        "the second half with its sign, in the band of the error bound"
    };
    let mut chart = ChartBuilder::on(area)
        .caption(caption, CAPTION)
        .margin(10)
        .margin_right(24)
        .x_label_area_size(28)
        .y_label_area_size(78)
        .build_cartesian_2d(begin..span.end, -height..height)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .y_desc("offset")
        .y_label_formatter(&|value| seconds(*value))
        .x_label_formatter(&|value| format!("{} s", (value * 1e3).round() / 1e3))
        .draw()?;
    let band = late.iter().map(|point| (point.time.as_secs_f64(), bound(&point).min(height)));
    let below = late.iter().rev().map(|point| (point.time.as_secs_f64(), -bound(&point).min(height)));
    chart.draw_series([Polygon::new(band.chain(below).collect::<Vec<_>>(), BOUND.mix(0.15).filled())])?;
    chart.draw_series(LineSeries::new(late.iter().map(offset), OFFSET.stroke_width(2)))?;
    Ok(())
}

/// A label in the unit that suits it.
fn seconds(value: f64) -> String {
    let magnitude = value.abs();
    let (scaled, unit) = match magnitude {
        _ if magnitude < 1e-12 => return "0".into(),
        _ if magnitude < 0.999e-6 => (value * 1e9, "ns"),
        _ if magnitude < 0.999e-3 => (value * 1e6, "µs"),
        _ if magnitude < 0.999 => (value * 1e3, "ms"),
        _ => (value, "s"),
    };
    let digits = if scaled.abs() < 9.95 && scaled.fract().abs() > 0.05 { 1 } else { 0 };
    format!("{scaled:.digits$} {unit}")
}
