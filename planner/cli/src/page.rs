//! Text for a terminal: styled words, wrapped entries under a label, aligned tables.
//!
//! A page is always written with its colours; the stream it is printed to takes them out where
//! the reader does not want them.

use std::fmt::{self, Display, Write as _};

use anstyle::{AnsiColor, Effects, Style};

/// What stands out.
pub(crate) const STRONG: Style = Style::new().effects(Effects::BOLD);
/// What explains.
pub(crate) const FAINT: Style = Style::new().effects(Effects::DIMMED);
/// What is chosen, and what has room.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What to look at twice.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
/// What names things: codes, flags.
pub(crate) const NAME: Style = AnsiColor::Cyan.on_default();
/// Everything else.
pub(crate) const PLAIN: Style = Style::new();

/// Columns of a label and the space after it.
const LABEL: usize = 11;

/// The fewest columns that text is wrapped to.
const LEAST: usize = 20;

/// A piece of a line, with styles. All characters are one column wide.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Text {
    spans: Vec<(Style, String)>,
}

impl Text {
    pub(crate) fn new(style: Style, text: impl Display) -> Self {
        Self::default().and(style, text)
    }

    pub(crate) fn plain(text: impl Display) -> Self {
        Self::new(PLAIN, text)
    }

    /// This, and more after it.
    #[must_use]
    pub(crate) fn and(mut self, style: Style, text: impl Display) -> Self {
        self.spans.push((style, text.to_string()));
        self
    }

    /// This, and another piece after it.
    #[must_use]
    pub(crate) fn with(mut self, other: Self) -> Self {
        self.spans.extend(other.spans);
        self
    }

    pub(crate) fn width(&self) -> usize {
        self.spans
            .iter()
            .map(|(_, text)| text.chars().count())
            .sum()
    }

    /// Lines of at most `width` columns, broken at spaces.
    fn wrapped(&self, width: usize) -> Vec<Self> {
        let mut lines = vec![Self::default()];
        let mut used = 0;
        for (style, text) in &self.spans {
            for word in text.split_inclusive(' ') {
                let columns = word.trim_end().chars().count();
                if used + columns > width && used > 0 {
                    lines.push(Self::default());
                    used = 0;
                }
                // A space that would begin a line stood before its end.
                if used == 0 && columns == 0 && lines.len() > 1 {
                    continue;
                }
                used += word.chars().count();
                if let Some(line) = lines.last_mut() {
                    match line.spans.last_mut() {
                        Some((last, text)) if last == style => text.push_str(word),
                        _ => line.spans.push((*style, word.to_owned())),
                    }
                }
            }
        }
        // A space at the end of a line is in no style.
        for line in &mut lines {
            if let Some((_, text)) = line.spans.last_mut() {
                text.truncate(text.trim_end().len());
            }
        }
        lines
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (style, text) in self.spans.iter().filter(|(_, text)| !text.is_empty()) {
            write!(f, "{style}{text}{style:#}")?;
        }
        Ok(())
    }
}

/// A page of so many columns, as it is put together.
#[derive(Debug)]
pub(crate) struct Page {
    lines: Vec<String>,
    width: usize,
}

impl Page {
    pub(crate) fn new(width: usize) -> Self {
        Self {
            lines: Vec::new(),
            width,
        }
    }

    pub(crate) const fn width(&self) -> usize {
        self.width
    }

    /// An empty line.
    pub(crate) fn gap(&mut self) {
        self.lines.push(String::new());
    }

    /// Text behind a label, wrapped under itself.
    pub(crate) fn entry(&mut self, label: &str, text: &Text) {
        let room = self.width.saturating_sub(LABEL).max(LEAST);
        for (index, line) in text.wrapped(room).iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            let line = format!("{FAINT}{label:<LABEL$}{FAINT:#}{line}");
            self.lines.push(line.trim_end().to_owned());
        }
    }

    /// Text under an entry, wrapped under itself at a deeper place.
    pub(crate) fn under(&mut self, indent: usize, text: &Text) {
        let indent = LABEL + indent;
        let room = self.width.saturating_sub(indent).max(LEAST);
        for line in text.wrapped(room) {
            let line = format!("{:indent$}{line}", "");
            self.lines.push(line.trim_end().to_owned());
        }
    }

    pub(crate) fn table(&mut self, table: &Table) {
        self.lines.extend(table.lines(self.width));
    }

    /// All lines.
    pub(crate) fn finish(self) -> String {
        let mut text = self.lines.join("\n");
        text.push('\n');
        text
    }
}

/// Which end of a column its cells lean on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lean {
    Left,
    Right,
}

/// Rows under a heading, each with a line of remarks below it.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Lean)>,
    rows: Vec<Row>,
    /// Where remarks begin: under this column.
    remarks: usize,
}

/// What stands in a row, and below it.
#[derive(Debug)]
struct Row {
    cells: Vec<Text>,
    /// What has no column where the page is narrow.
    more: Text,
    remarks: Vec<Text>,
}

/// Columns between columns.
const SPACE: usize = 2;

impl Table {
    pub(crate) fn new(columns: Vec<(&'static str, Lean)>, remarks: usize) -> Self {
        Self {
            columns,
            rows: Vec::new(),
            remarks,
        }
    }

    /// A row, and what is said below it: `more` always, and remarks that do not fit on a line go
    /// to the next; those of the row above are not said again.
    pub(crate) fn row(&mut self, cells: Vec<Text>, more: Text, remarks: Vec<Text>) {
        self.rows.push(Row {
            cells,
            more,
            remarks,
        });
    }

    /// Columns it takes.
    pub(crate) fn width(&self) -> usize {
        let gaps = SPACE * self.columns.len().saturating_sub(1);
        self.widths().iter().sum::<usize>() + gaps
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.columns.iter().enumerate();
        columns
            .map(|(index, (heading, _))| {
                let cells = self.rows.iter().filter_map(|row| row.cells.get(index));
                cells
                    .map(Text::width)
                    .chain([heading.chars().count()])
                    .max()
                    .unwrap_or(0)
            })
            .collect()
    }

    fn lines(&self, width: usize) -> Vec<String> {
        let widths = self.widths();
        let heading: Vec<Text> = self
            .columns
            .iter()
            .map(|(heading, _)| Text::new(FAINT, heading))
            .collect();
        let mut lines = vec![self.line(&heading, &widths)];
        let indent = widths.iter().take(self.remarks).sum::<usize>() + SPACE * self.remarks;
        let mut above: &[Text] = &[];
        for row in &self.rows {
            lines.push(self.line(&row.cells, &widths));
            let said = std::mem::replace(&mut above, &row.remarks) == row.remarks;
            let more = (row.more.width() > 0).then_some(&row.more);
            let remarks = row.remarks.iter().filter(|_| !said);
            let below: Vec<&Text> = more.into_iter().chain(remarks).collect();
            for line in packed(&below, width.saturating_sub(indent).max(LEAST)) {
                lines.push(format!("{:indent$}{line}", "").trim_end().to_owned());
            }
        }
        lines
    }

    fn line(&self, cells: &[Text], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), (_, lean)) in cells.iter().zip(widths).zip(&self.columns) {
            let blank = width.saturating_sub(cell.width());
            let (before, after) = match lean {
                Lean::Left => (0, blank),
                Lean::Right => (blank, 0),
            };
            let _ = write!(line, "{:before$}{cell}{:after$}{:SPACE$}", "", "", "");
        }
        line.trim_end().to_owned()
    }
}

/// Remarks side by side, on as few lines as they need.
fn packed(remarks: &[&Text], width: usize) -> Vec<String> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for remark in remarks {
        for part in remark.wrapped(width) {
            let columns = part.width();
            match lines.last_mut() {
                Some((used, line)) if *used + SPACE + 1 + columns <= width => {
                    *used += SPACE + 1 + columns;
                    let _ = write!(line, "   {part}");
                }
                _ => lines.push((columns, part.to_string())),
            }
        }
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn entries_wrap_under_themselves() {
        let mut page = Page::new(42);
        page.entry(
            "Why",
            &Text::plain("one two three four five six seven eight"),
        );
        assert_eq!(
            plain(&page.finish()),
            "Why        one two three four five six\n           seven eight\n"
        );
    }

    #[test]
    fn numbers_stand_under_each_other_and_remarks_under_their_row() {
        let mut table = Table::new(vec![("name", Lean::Left), ("$/h", Lean::Right)], 1);
        table.row(
            vec![Text::new(GOOD, "a"), Text::plain("10.25")],
            Text::default(),
            vec![Text::plain("cheap")],
        );
        let longer = vec![Text::plain("longer"), Text::plain("9.5")];
        table.row(longer, Text::plain("here"), vec![Text::plain("cheap")]);
        let mut page = Page::new(80);
        page.table(&table);
        assert_eq!(
            plain(&page.finish()),
            "name      $/h\na       10.25\n        cheap\nlonger    9.5\n        here\n"
        );
    }
}
