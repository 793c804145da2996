//! What a benchmark found: tables of figures, and the budgets with their verdicts. The same text
//! goes to the terminal and, between markers, into the page of figures.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;

use anyhow::Context;

/// The figures of one benchmark.
#[derive(Debug)]
pub(crate) struct Report {
    name: &'static str,
    note: Option<String>,
    tables: Vec<Table>,
    budgets: Vec<Budget>,
}

/// Figures, one row for each variant.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// A measured figure and the limit it has to keep.
#[derive(Debug)]
struct Budget {
    what: String,
    measured: f64,
    limit: Limit,
}

/// What a figure has to keep.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    AtMost(f64, &'static str),
    AtLeast(f64, &'static str),
}

impl Limit {
    fn is_kept_by(self, measured: f64) -> bool {
        match self {
            Self::AtMost(limit, _) => measured <= limit,
            Self::AtLeast(limit, _) => measured >= limit,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::AtMost(_, unit) | Self::AtLeast(_, unit) => unit,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit, unit) => write!(f, "≤ {} {unit}", figure(*limit)),
            Self::AtLeast(limit, unit) => write!(f, "≥ {} {unit}", figure(*limit)),
        }
    }
}

impl Report {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, note: None, tables: Vec::new(), budgets: Vec::new() }
    }

    /// Says something before the tables.
    pub(crate) fn note(&mut self, text: String) {
        self.note = Some(text);
    }

    pub(crate) fn table(&mut self, table: Table) {
        self.tables.push(table);
    }

    /// Holds `measured` against its budget.
    pub(crate) fn budget(&mut self, what: impl Into<String>, measured: f64, limit: Limit) {
        self.budgets.push(Budget { what: what.into(), measured, limit });
    }

    /// How many budgets were missed.
    pub(crate) fn missed(&self) -> usize {
        self.budgets.iter().filter(|b| !b.limit.is_kept_by(b.measured)).count()
    }

    /// Puts the figures into the page, between the markers of this benchmark.
    pub(crate) fn write_into(&self, page: &Path) -> anyhow::Result<()> {
        replace(page, self.name, &self.to_string())
    }

    fn verdicts(&self) -> Table {
        let mut table = Table::new("Budgets", &["budget", "measured", "limit", "verdict"]);
        for Budget { what, measured, limit } in &self.budgets {
            let verdict = if limit.is_kept_by(*measured) { "PASS" } else { "FAIL" };
            let measured = format!("{} {}", figure(*measured), limit.unit());
            table.row([what.clone(), measured, limit.to_string(), verdict.into()]);
        }
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(note) = &self.note {
            writeln!(f, "{note}\n")?;
        }
        for table in &self.tables {
            writeln!(f, "{table}")?;
        }
        write!(f, "{}", self.verdicts())
    }
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, header: &[&str]) -> Self {
        let header = header.iter().map(|h| (*h).to_owned()).collect();
        Self { title: title.into(), header, rows: Vec::new() }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.title)?;
        let lines = || std::iter::once(&self.header).chain(&self.rows);
        let width = |column: usize| {
            lines().map(|line| line[column].chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..self.header.len()).map(width).collect();
        for (place, line) in lines().enumerate() {
            let mut text = String::from("|");
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                // Names to the left, figures to the right.
                match column {
                    0 => write!(text, " {cell:<width$} |")?,
                    _ => write!(text, " {cell:>width$} |")?,
                }
            }
            writeln!(f, "{text}")?;
            if place == 0 {
                let rule = |(column, width): (usize, &usize)| match column {
                    0 => format!(" {} |", "-".repeat(*width)),
                    _ => format!(" {}: |", "-".repeat(width.saturating_sub(1))),
                };
                writeln!(f, "|{}", widths.iter().enumerate().map(rule).collect::<String>())?;
            }
        }
        Ok(())
    }
}

/// A number with three significant digits, or as a whole number with its thousands marked.
pub(crate) fn figure(value: f64) -> String {
    let digits = match value.abs() {
        v if !v.is_finite() => return value.to_string(),
        v if v >= 1000.0 => return thousands(value.round() as i64),
        v if v >= 100.0 || v.fract() == 0.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 0.1 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::from(if value < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Replaces what stands between the markers of `section`.
pub(crate) fn replace(page: &Path, section: &str, text: &str) -> anyhow::Result<()> {
    let path = page.display();
    let old = fs::read_to_string(page).with_context(|| format!("cannot read {path}"))?;
    let (open, close) = (format!("<!-- figures: {section} -->"), "<!-- end -->");
    let from = old.find(&open).with_context(|| format!("{path} has no marker {open}"))?;
    let from = from + open.len();
    let to = old[from..].find(close).with_context(|| format!("{path}: {open} lacks {close}"))?;
    let new = format!("{}\n{}\n{}", &old[..from], text.trim_end(), &old[from + to..]);
    fs::write(page, new).with_context(|| format!("cannot write {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_mean_something() {
        let shown = [1_234_567.8, 763.4, 27.83, 5.0, 0.853, 0.0123].map(figure);
        assert_eq!(shown, ["1,234,568", "763", "27.8", "5", "0.85", "0.012"]);
    }

    #[test]
    fn a_missed_budget_is_counted_and_named() {
        let mut report = Report::new("record");
        report.budget("one thread", 4.0, Limit::AtMost(5.0, "× floor"));
        report.budget("faster", 2.0, Limit::AtLeast(3.0, "×"));
        assert_eq!(report.missed(), 1);
        let text = report.to_string();
        assert!(text.contains("| one thread | 4 × floor | ≤ 5 × floor |    PASS |"), "{text}");
        assert!(text.contains("| faster     |       2 × |       ≥ 3 × |    FAIL |"), "{text}");
    }

    #[test]
    fn only_the_text_between_the_markers_changes() {
        let page = std::env::temp_dir().join(format!("mcpmon-bench-{}.md", std::process::id()));
        fs::write(&page, "a\n<!-- figures: x -->\nold\n<!-- end -->\nb\n").unwrap();
        replace(&page, "x", "new\n").unwrap();
        let text = fs::read_to_string(&page).unwrap();
        assert!(replace(&page, "y", "new").unwrap_err().to_string().contains("no marker"));
        fs::remove_file(&page).unwrap();
        assert_eq!(text, "a\n<!-- figures: x -->\nnew\n<!-- end -->\nb\n");
    }
}
