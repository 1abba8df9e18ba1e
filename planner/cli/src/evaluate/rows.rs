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

/// All rows of a file, whose header must have `needed`.
pub(crate) fn read(path: &Path, needed: &[&str]) -> Result<Vec<Row>> {
    let bytes =
        std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    // What is no UTF-8 costs its letter, not the file.
    let text = String::from_utf8_lossy(&bytes);
    rows(&text, needed).with_context(|| path.display().to_string())
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
    /// Whether its last field begins with a quote that is not closed.
    open: bool,
    /// Whether something follows a closing quote: what was closed is another field's quote.
    stray: bool,
}

/// What is left of a text.
struct Lines<'a>(&'a str);

impl Lines<'_> {
    /// Most lines of one record: a quote that is open for longer was never closed.
    const MOST: usize = 20;

    /// The next record that is not blank. A quoted field may go on over lines, as long as the
    /// record ends with `width` fields; else it ends with its line.
    fn next(&mut self, width: Option<usize>) -> Option<Record> {
        let blank = |c: char| matches!(c, '\n' | '\r');
        self.0 = self.0.trim_start_matches(blank);
        if self.0.is_empty() {
            return None;
        }
        let mut ends = self
            .0
            .match_indices(blank)
            .map(|(at, _)| at)
            .chain([self.0.len()]);
        let end = ends.next().unwrap_or(self.0.len());
        let first = record(&self.0[..end]);
        let whole = first.open.then(|| {
            ends.take(Self::MOST)
                .map(|end| (record(&self.0[..end]), end))
                .find(|(record, _)| !record.open)
                .filter(|(record, _)| !record.stray)
                .filter(|(record, _)| width.is_none_or(|width| record.fields.len() == width))
        });
        let (record, end) = whole.flatten().unwrap_or((first, end));
        self.0 = &self.0[end..];
        Some(record)
    }
}

/// The fields of a text that is one record (RFC 4180; a quote inside an unquoted field is a letter).
fn record(text: &str) -> Record {
    let mut fields = vec![String::new()];
    let (mut quoted, mut start, mut closed, mut stray) = (false, true, false, false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let begins = std::mem::take(&mut start);
        match letter {
            '"' if quoted => {
                quoted = letters.peek() == Some(&'"');
                closed = !quoted;
                if quoted {
                    letters.next();
                    push(&mut fields, '"');
                }
            }
            '"' if begins => quoted = true,
            ',' if !quoted => {
                fields.push(String::new());
                (start, closed) = (true, false);
            }
            letter => {
                stray |= closed;
                push(&mut fields, letter);
            }
        }
    }
    Record {
        fields,
        open: quoted,
        stray,
    }
}

fn push(fields: &mut [String], letter: char) {
    if let Some(field) = fields.last_mut() {
        field.push(letter);
    }
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
