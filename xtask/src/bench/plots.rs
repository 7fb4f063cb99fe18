//! The results as pictures: rates, latency curves, throughput over time.

use std::error::Error;
use std::ops::Range;
use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::prelude::*;

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

/// Draws all pictures into `directory` and returns their files.
pub(crate) fn draw(rows: &[Row], directory: &Path) -> Outcome<Vec<PathBuf>> {
    create(directory)?;
    let writes = |row: &&Row| row.cost.is_some();
    let pictures: [(&str, Drawing<'_>); 4] = [
        ("rates.svg", Box::new(|area| rates(area, rows))),
        (
            "latency_writes.svg",
            Box::new(move |area| {
                latency(area, "Latency of writes", &rows.iter().filter(writes).collect::<Vec<_>>())
            }),
        ),
        (
            "latency_reads.svg",
            Box::new(move |area| {
                let reads = rows.iter().filter(|row| row.cost.is_none() && row.operations > 1);
                latency(area, "Latency of reads", &reads.collect::<Vec<_>>())
            }),
        ),
        (
            "throughput.svg",
            Box::new(move |area| throughput(area, &rows.iter().filter(writes).collect::<Vec<_>>())),
        ),
    ];
    let mut files = Vec::new();
    for (name, drawing) in pictures {
        let file = directory.join(name);
        let area = SVGBackend::new(&file, SIZE).into_drawing_area();
        let drawn = area.fill(&WHITE).map_err(Into::into).and_then(|()| drawing(&area));
        drawn
            .and_then(|()| area.present().map_err(Into::into))
            .map_err(|error| Failure::check(format!("{}: {error}", file.display())))?;
        drop(area);
        files.push(file);
    }
    Ok(files)
}

type Drawing<'a> = Box<dyn Fn(&Area<'_>) -> Drawn + 'a>;

/// A bar per row, on a scale of powers of ten.
fn rates(area: &Area<'_>, rows: &[Row]) -> Drawn {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.operations > 1).collect();
    let highest = rows.iter().map(|row| row.operations_per_second).fold(10.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption("Operations per second", (FONT, 22))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(190)
        .build_cartesian_2d((1.0..highest * 1.5).log_scale(), 0..rows.len())?;
    let label = |index: &usize| rows.get(*index).map_or(String::new(), |row| name_of(row));
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(rows.len().max(1))
        .y_label_formatter(&label)
        .x_label_formatter(&|rate| short_number(*rate))
        .draw()?;
    chart.draw_series(rows.iter().enumerate().map(|(index, row)| {
        let corners = [(1.0, index), (row.operations_per_second.max(1.0), index + 1)];
        let mut bar = Rectangle::new(corners, COLOURS[index % COLOURS.len()].filled());
        bar.set_margin(3, 3, 0, 0);
        bar
    }))?;
    Ok(())
}

/// Latency at each percentile; the x axis counts nines.
fn latency(area: &Area<'_>, title: &str, rows: &[&Row]) -> Drawn {
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
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..6.0, (0.1..highest * 2.0).log_scale())?;
    chart
        .configure_mesh()
        .x_labels(7)
        .x_label_formatter(&|nines| percentile_label(*nines))
        .x_desc("percentile of operations")
        .y_desc("µs")
        .y_label_formatter(&|value| short_number(*value))
        .draw()?;
    for (index, (name, points)) in series.into_iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour));
    }
    let corner = SeriesLabelPosition::UpperLeft;
    chart.configure_series_labels().position(corner).background_style(WHITE.mix(0.8)).draw()?;
    Ok(())
}

/// Operations a second in steps of 100 ms: stalls show as gaps.
fn throughput(area: &Area<'_>, rows: &[&Row]) -> Drawn {
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
        .caption("Throughput of writes over time", (FONT, 22))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..longest, heights)?;
    chart
        .configure_mesh()
        .x_desc("seconds")
        .y_desc("operations per second")
        .y_label_formatter(&|value| short_number(*value))
        .draw()?;
    for (index, (name, points)) in series.into_iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(1)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).draw()?;
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
    use super::{draw, percentile_label, short_number};
    use crate::bench::measure;
    use crate::bench::row::Row;

    #[test]
    fn every_picture_is_drawn_also_of_few_rows() {
        let directory = tempfile::tempdir().unwrap();
        let measurement = measure::run(2, None, |_, recorder| {
            recorder.record_many(1000);
            Ok(())
        });
        let rows = [Row::new("readrandom", "-", &measurement.unwrap(), None)];
        for rows in [&rows[..], &[]] {
            let files = draw(rows, directory.path()).unwrap();
            assert_eq!(files.len(), 4);
            for file in files {
                let text = std::fs::read_to_string(&file).unwrap();
                assert!(text.trim_end().ends_with("</svg>"), "{}", file.display());
            }
        }
    }

    #[test]
    fn labels_are_short() {
        assert_eq!([1.0, 1000.0, 2e6].map(short_number), ["1", "1k", "2M"]);
        let labels = [0.0, 1.0, 2.0, 4.0].map(percentile_label);
        assert_eq!(labels, ["0 %", "90 %", "99 %", "99.99 %"]);
    }
}
