//! Rows of a CSV file of measurements.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};

/// One row: column name to text. A column that is missing reads as empty.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    columns: BTreeMap<String, String>,
}

impl Row {
    /// The text of a column, trimmed.
    pub(crate) fn text(&self, column: &str) -> &str {
        self.columns.get(column).map_or("", |text| text.trim())
    }

    /// The number of a column; `None` where it is empty or no number.
    pub(crate) fn number(&self, column: &str) -> Option<f64> {
        let text = self.text(column);
        let plain = || text.replace([',', '_'], "");
        text.parse()
            .or_else(|_| plain().parse())
            .ok()
            .filter(|number: &f64| number.is_finite())
    }

    /// The whole number of a column; `None` where it is empty, no number, negative or too large
    /// to be one of tokens.
    pub(crate) fn whole(&self, column: &str) -> Option<u64> {
        let number = self.number(column)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the bounds before it"
        )]
        (0.0..1e15)
            .contains(&number)
            .then_some(number.round() as u64)
    }
}

/// All rows of a file, whose header must have `needed`.
pub(crate) fn read(path: &Path, needed: &[&str]) -> Result<Vec<Row>> {
    let bytes =
        std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    // What is no UTF-8 costs its letter, not the file.
    let text = String::from_utf8_lossy(&bytes);
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let header = reader
        .headers()
        .with_context(|| format!("{} has no header", path.display()))?
        .clone();
    for column in needed {
        anyhow::ensure!(
            header.iter().any(|name| name.trim() == *column),
            "{} has no column {column:?}; its columns are {}",
            path.display(),
            header.iter().collect::<Vec<_>>().join(", ")
        );
    }
    let mut rows = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let record = record.with_context(|| format!("{}, row {}", path.display(), index + 1))?;
        let columns = header
            .iter()
            .zip(record.iter())
            .map(|(name, text)| (name.trim().to_owned(), text.to_owned()))
            .collect();
        rows.push(Row { columns });
    }
    Ok(rows)
}
