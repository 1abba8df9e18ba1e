//! Rows of a CSV file of measurements.
//!
//! Each row gets an answer, so a row that is broken costs itself and no other: a quote that is
//! never closed ends with its line.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};

/// One row: column name to text. A column that is missing reads as empty.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    columns: BTreeMap<String, String>,
    broken: Option<String>,
}

impl Row {
    /// The text of a column, trimmed.
    pub(crate) fn text(&self, column: &str) -> &str {
        self.columns.get(column).map_or("", |text| text.trim())
    }

    /// Why the row cannot be read, where it cannot.
    pub(crate) fn check(&self) -> Result<(), String> {
        match &self.broken {
            None => Ok(()),
            Some(why) => Err(format!("malformed_row: {why}")),
        }
    }

    /// The number of a column; `None` where it is empty or no number.
    pub(crate) fn number(&self, column: &str) -> Option<f64> {
        number(self.text(column))
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

/// A finite number, with separators between its thousands or without.
pub(crate) fn number(text: &str) -> Option<f64> {
    let plain = || text.replace([',', '_'], "");
    text.parse()
        .or_else(|_| plain().parse())
        .ok()
        .filter(|number: &f64| number.is_finite())
}

/// A file of rows, read once: a pipe has no second reading.
#[derive(Debug)]
pub struct RowsFile {
    name: String,
    text: String,
}

impl RowsFile {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, with its name.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).with_context(|| format!("{name} cannot be read"))?;
        // What is no UTF-8 costs its letter, not the file.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Self { name, text })
    }

    /// All rows, whose header must have `needed`.
    pub(crate) fn rows(&self, needed: &[&str]) -> Result<Vec<Row>> {
        rows(&self.text, needed).with_context(|| self.name.clone())
    }
}

/// All rows of a text.
fn rows(text: &str, needed: &[&str]) -> Result<Vec<Row>> {
    let mut lines = Lines(text.trim_start_matches('\u{feff}'));
    let header = lines
        .next(None)
        .context("it is empty: there is no header")?;
    let header: Vec<&str> = header.fields.iter().map(|name| name.trim()).collect();
    for column in needed {
        anyhow::ensure!(
            header.contains(column),
            "there is no column {column:?}; the columns are {}",
            header.join(", ")
        );
    }
    if let Some(twice) = (1..header.len()).find(|at| header[..*at].contains(&header[*at])) {
        anyhow::bail!("there are two columns {:?}", header[twice]);
    }
    let mut rows = Vec::new();
    while let Some(record) = lines.next(Some(header.len())) {
        let broken = if record.open {
            Some("a quote is not closed".to_owned())
        } else if record.fields.len() == header.len() {
            None
        } else {
            Some(format!(
                "it has {} fields, and the header has {}",
                record.fields.len(),
                header.len()
            ))
        };
        let names = header.iter().map(ToString::to_string);
        rows.push(Row {
            columns: names.zip(record.fields).collect(),
            broken,
        });
    }
    Ok(rows)
}

/// The fields of a record.
struct Record {
    fields: Vec<String>,
    /// Whether a quote is open at the end of its line, and no later one closes it.
    open: bool,
}

/// What is left of a text.
struct Lines<'a>(&'a str);

impl Lines<'_> {
    /// The next record that is not blank. A quoted field may go on over lines, as long as its quotes
    /// are in pairs and the record ends with `width` fields; else it ends with its line, where the
    /// reader alone would take all that follows into one field.
    fn next(&mut self, width: Option<usize>) -> Option<Record> {
        let blank = |c: char| matches!(c, '\n' | '\r');
        self.0 = self.0.trim_start_matches(blank);
        if self.0.is_empty() {
            return None;
        }
        let (fields, end) = record(self.0);
        let (whole, rest) = self.0.split_at(end);
        let whole = whole.trim_end_matches(blank);
        let Some((line, _)) = whole.split_once(blank) else {
            self.0 = rest;
            return Some(Record {
                fields,
                open: false,
            });
        };
        let paired = whole.matches('"').count() % 2 == 0;
        if paired && width.is_none_or(|width| fields.len() == width) {
            self.0 = rest;
            return Some(Record {
                fields,
                open: false,
            });
        }
        let (fields, _) = record(line);
        self.0 = &self.0[line.len()..];
        Some(Record { fields, open: true })
    }
}

/// The first record of a text, and how many bytes it has.
fn record(text: &str) -> (Vec<String>, usize) {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    // It is text and its rows may have any width: nothing is left that could fail.
    let _ = reader.read_record(&mut record);
    let fields = record.iter().map(str::to_owned).collect();
    let end = usize::try_from(reader.position().byte()).unwrap_or(text.len());
    (fields, end.min(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &[(&str, Option<&str>)]) {
        let rows = rows(text, &["a"]).expect("it has a header");
        let got: Vec<(&str, Option<&str>)> = rows
            .iter()
            .map(|row| (row.text("b"), row.broken.as_deref()))
            .collect();
        assert_eq!(got, expect);
    }

    #[test]
    fn a_broken_row_costs_itself_alone() {
        let open = Some("a quote is not closed");
        check("a,b\n1,x\n2,y\n", &[("x", None), ("y", None)]);
        check("a,b\r\n1,x\r\n\r\n2,y", &[("x", None), ("y", None)]);
        check("a,b\n1,\"x\n2,y\n", &[("x", open), ("y", None)]);
        // The quote that follows belongs to another row.
        check(
            "a,b\n1,\"x\n2,y\n3,\"p,q\"\n",
            &[("x", open), ("y", None), ("p,q", None)],
        );
        check("a,b\n\"1,x\n\"2\",y\n", &[("", open), ("y", None)]);
        check(
            "a,b\n1,\"x\"\"\ny\"\n2,5\" disk\n",
            &[("x\"\ny", None), ("5\" disk", None)],
        );
        check(
            "a,b\n1\n1,2,3\n1,2\n",
            &[
                ("", Some("it has 1 fields, and the header has 2")),
                ("2", Some("it has 3 fields, and the header has 2")),
                ("2", None),
            ],
        );
    }

    #[test]
    fn a_header_names_each_column_once() {
        for (text, why) in [
            ("", "there is no header"),
            ("b,c\n1,2", "no column \"a\""),
            ("a,b,b\n1,2,3", "two columns \"b\""),
        ] {
            let error = rows(text, &["a"]).expect_err("it is refused");
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
