//! The results as pictures: rates, latency curves, throughput over time.

use std::error::Error;
use std::ops::Range;
use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::measure::TIMELINE_STEP;
use super::row::Row;
use crate::failure::{Context, Failure, Outcome};

const SIZE: (u32, u32) = (960, 540);
const FONT: &str = "sans-serif";
/// Colours that are told apart by most eyes (Okabe and Ito 2008).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

type Drawn = Result<(), Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// A named line of points.
type Series = (String, Vec<(f64, f64)>);

/// A kind of picture.
#[derive(Clone, Copy)]
enum Picture {
    Rates,
    Latency,
    Throughput,
}

/// Draws the pictures that there are rows for into `directory` and returns
/// their files.
pub(crate) fn draw(rows: &[Row], directory: &Path) -> Outcome<Vec<PathBuf>> {
    create(directory)?;
    let chosen = |wanted: fn(&Row) -> bool| rows.iter().filter(|row| wanted(row)).collect();
    let all: Vec<&Row> = chosen(|row| row.operations > 1);
    let durable: Vec<&Row> = chosen(|row| row.cost.is_some() && row.durability == "sync");
    let writes: Vec<&Row> = chosen(|row| row.cost.is_some() && row.durability != "sync");
    let reads: Vec<&Row> = chosen(|row| row.cost.is_none() && row.operations > 1);
    let pictures = [
        ("rates.svg", "Operations per second", Picture::Rates, all),
        ("latency_reads.svg", "Latency of reads", Picture::Latency, reads),
        ("latency_writes.svg", "Latency of writes", Picture::Latency, writes.clone()),
        ("latency_durable.svg", "Latency of durable writes", Picture::Latency, durable.clone()),
        ("throughput_writes.svg", "Writes over time", Picture::Throughput, writes),
        ("throughput_durable.svg", "Durable writes over time", Picture::Throughput, durable),
    ];
    let mut files = Vec::new();
    for (name, title, picture, rows) in pictures {
        if rows.is_empty() {
            continue;
        }
        let file = directory.join(name);
        draw_picture(&file, title, picture, &rows)
            .map_err(|error| Failure::check(format!("{}: {error}", file.display())))?;
        files.push(file);
    }
    Ok(files)
}

fn draw_picture(file: &Path, title: &str, picture: Picture, rows: &[&Row]) -> Drawn {
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    match picture {
        Picture::Rates => rates(&area, title, rows)?,
        Picture::Latency => latency(&area, title, rows)?,
        Picture::Throughput => throughput(&area, title, rows)?,
    }
    area.present()?;
    Ok(())
}

/// A bar per row, the first on top, on a scale of powers of ten.
fn rates(area: &Area<'_>, title: &str, rows: &[&Row]) -> Drawn {
    let highest = rows.iter().map(|row| row.operations_per_second).fold(10.0, f64::max);
    let lines = 0..rows.len().saturating_sub(1);
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 22))
        .margin(12)
        .margin_right(32)
        .x_label_area_size(40)
        .y_label_area_size(190)
        .build_cartesian_2d((1.0..highest * 8.0).log_scale(), lines.into_segmented())?;
    let row_at = |line: usize| rows.iter().rev().nth(line);
    let label = |segment: &SegmentValue<usize>| match segment {
        SegmentValue::CenterOf(line) => row_at(*line).map_or(String::new(), |row| name_of(row)),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(rows.len())
        .y_label_formatter(&label)
        .x_label_formatter(&|rate| short_number(*rate))
        .draw()?;
    for (line, row) in rows.iter().rev().enumerate() {
        let rate = row.operations_per_second.max(1.0);
        let colour = COLOURS[0];
        let end = match line + 1 {
            end if end == rows.len() => SegmentValue::Last,
            end => SegmentValue::Exact(end),
        };
        let corners = [(1.0, SegmentValue::Exact(line)), (rate, end)];
        let mut bar = Rectangle::new(corners, colour.filled());
        bar.set_margin(4, 4, 0, 0);
        let place = (rate * 1.1, SegmentValue::CenterOf(line));
        let style = (FONT, 13).into_text_style(area).pos(Pos::new(HPos::Left, VPos::Center));
        let figure = Text::new(format!("{:.0}", row.operations_per_second), place, style);
        chart.draw_series([bar])?;
        chart.draw_series([figure])?;
    }
    Ok(())
}

/// Latency at each percentile; the x axis counts nines.
fn latency<'a>(area: &Area<'a>, title: &str, rows: &[&Row]) -> Drawn {
    let nines = |quantile: f64| -(1.0 - quantile).max(1e-6).log10();
    let series: Vec<Series> = rows
        .iter()
        .map(|row| {
            let points = row.curve.iter();
            let points =
                points.map(|&(quantile, ns)| (nines(quantile), (ns as f64 / 1e3).max(0.01)));
            (name_of(row), points.collect())
        })
        .collect();
    let highest = highest(&series).max(10.0);
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 22))
        .margin(12)
        .margin_right(32)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..6.0, (0.1..highest * 2.0).log_scale())?;
    chart
        .configure_mesh()
        .x_labels(7)
        .max_light_lines(1)
        .x_label_formatter(&|nines| percentile_label(*nines))
        .x_desc("percentile of operations")
        .y_desc("µs")
        .y_label_formatter(&|value| short_number(*value))
        .draw()?;
    draw_lines(&mut chart, series, SeriesLabelPosition::LowerRight)
}

/// Operations a second in steps of 100 ms: stalls show as gaps.
fn throughput<'a>(area: &Area<'a>, title: &str, rows: &[&Row]) -> Drawn {
    let step_s = TIMELINE_STEP.as_secs_f64();
    let series: Vec<Series> = rows
        .iter()
        .map(|row| {
            // The last step is cut short by the end of the run.
            let whole = row.timeline.len().saturating_sub(1);
            let steps = row.timeline[..whole].iter().enumerate();
            let points = steps.map(|(step, &count)| (step as f64 * step_s, count as f64 / step_s));
            (name_of(row), points.collect())
        })
        .collect();
    let longest = rows.iter().map(|row| row.elapsed_s).fold(1.0, f64::max);
    let heights: Range<f64> = 0.0..highest(&series).max(1.0) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 22))
        .margin(12)
        .margin_right(32)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..longest, heights)?;
    chart
        .configure_mesh()
        .max_light_lines(1)
        .x_desc("seconds")
        .y_desc("operations per second")
        .y_label_formatter(&|value| short_number(*value))
        .draw()?;
    draw_lines(&mut chart, series, SeriesLabelPosition::UpperRight)
}

fn draw_lines<'a, X, Y>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    series: Vec<Series>,
    corner: SeriesLabelPosition,
) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    for (index, (name, points)) in series.into_iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3)));
    }
    chart.configure_series_labels().position(corner).background_style(WHITE.mix(0.8)).draw()?;
    Ok(())
}

fn highest(series: &[Series]) -> f64 {
    series.iter().flat_map(|(_, points)| points).map(|point| point.1).fold(0.0, f64::max)
}

fn name_of(row: &Row) -> String {
    format!("{} ×{}", row.workload, row.threads)
}

/// `12000` as `12k`.
fn short_number(number: f64) -> String {
    match number {
        number if number >= 1e6 => format!("{}M", number / 1e6),
        number if number >= 1e3 => format!("{}k", number / 1e3),
        number => format!("{number}"),
    }
}

/// The percentile with this many nines.
fn percentile_label(nines: f64) -> String {
    match nines.round() as i32 {
        0 => "0 %".into(),
        1 => "90 %".into(),
        2 => "99 %".into(),
        nines => format!("99.{} %", "9".repeat(nines as usize - 2)),
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark writes its own results")]
fn create(directory: &Path) -> Outcome {
    std::fs::create_dir_all(directory).context(directory.display())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{draw, percentile_label, short_number};
    use crate::bench::measure;
    use crate::bench::row::Row;

    #[test]
    fn pictures_are_drawn_of_what_there_is() {
        let directory = tempfile::tempdir().unwrap();
        let measurement = measure::run(2, None, |_, recorder| {
            recorder.record_many(1000);
            Ok(())
        });
        let rows = [Row::new("readrandom", "-", &measurement.unwrap(), None)];
        let files = draw(&rows, directory.path()).unwrap();
        assert_eq!(files.len(), 2, "rates and latency of reads");
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text.trim_end().ends_with("</svg>"), "{}", file.display());
        }
        assert_eq!(draw(&[], directory.path()).unwrap(), [""; 0].map(PathBuf::from));
    }

    #[test]
    fn labels_are_short() {
        assert_eq!([1.0, 1000.0, 2e6].map(short_number), ["1", "1k", "2M"]);
        let labels = [0.0, 1.0, 2.0, 4.0].map(percentile_label);
        assert_eq!(labels, ["0 %", "90 %", "99 %", "99.99 %"]);
    }
}
