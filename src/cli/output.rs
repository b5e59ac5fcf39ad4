//! What commands print: data to stdout, talk to stderr.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::failure::{Failure, Kind};

/// How a command prints.
pub(super) struct Output {
    pub(super) json: bool,
    pub(super) quiet: bool,
    /// Whether stderr may be coloured.
    pub(super) color: bool,
    /// Whether stdout may be coloured.
    pub(super) data_color: bool,
    /// The settings that the command line names, as a shell takes it.
    config: Option<String>,
    /// Something has gone to stdout.
    printed: AtomicBool,
}

#[derive(Clone, Copy)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows of text in aligned columns.
pub(super) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

// A column wider than this pushes the others off the screen; JSON has the whole text.
const CELL_CHARS_MAX: usize = 60;

impl Output {
    pub(super) fn new(json: bool, quiet: bool, no_color: bool, config: Option<&Path>) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let wanted = wanted && !no_color;
        Self {
            json,
            quiet,
            color: wanted && std::io::stderr().is_terminal(),
            data_color: wanted && !json && std::io::stdout().is_terminal(),
            config: config.map(|path| quoted(&path.to_string_lossy())),
            printed: AtomicBool::new(false),
        }
    }

    /// A line of data.
    pub(super) fn line(&self, line: &str) {
        self.data(&format!("{line}\n"));
    }

    /// A command, or a sentence with commands in it: whoever types one has to name the settings that this one named.
    pub(super) fn told(&self, sentence: &str) -> String {
        let Some(file) = &self.config else { return sentence.to_owned() };
        let sentence = sentence.replace("`viewd ", &format!("`viewd --config {file} "));
        match sentence.strip_prefix("viewd ") {
            Some(command) => format!("viewd --config {file} {command}"),
            None => sentence,
        }
    }

    /// Data as it is. Whoever reads it may have gone (`viewd ... | head`): then there is nothing more to do.
    pub(super) fn data(&self, text: &str) {
        self.printed.store(true, Ordering::Relaxed);
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
            Err(error) => {
                let failure = anyhow::Error::from(error).context("write the result");
                Failure::new(Kind::Io, failure).print(self);
                std::process::exit(Kind::Io as i32);
            }
        }
    }

    /// Whether anything has gone to stdout.
    pub(super) fn has_printed(&self) -> bool {
        self.printed.load(Ordering::Relaxed)
    }

    /// A line of talk.
    pub(super) fn note(&self, line: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        }
    }

    /// What must be read even with `--quiet`.
    pub(super) fn warn(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    pub(super) fn table(&self, table: &Table) {
        self.data(&table.text());
    }

    pub(super) fn clear_screen(&self) {
        if std::io::stdout().is_terminal() {
            let _ = write!(std::io::stdout().lock(), "\u{1b}[2J\u{1b}[H");
        }
    }
}

impl Table {
    pub(super) fn new(columns: &[(&str, Align)]) -> Self {
        let columns = columns.iter().map(|(name, align)| ((*name).to_owned(), *align)).collect();
        Self { columns, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        let last = cells.len().saturating_sub(1);
        // Nothing stands behind the last column that its width could push away.
        let width = |column| if column == last { usize::MAX } else { CELL_CHARS_MAX };
        let cells = cells.iter().enumerate();
        self.rows.push(cells.map(|(column, cell)| shown(cell, width(column))).collect());
    }

    pub(super) fn text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.columns[column].0.chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.columns.len()).map(width).collect();
        let header: Vec<_> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let mut text = String::new();
        for row in std::iter::once(&header).chain(&self.rows) {
            let cells =
                row.iter().zip(&widths).zip(&self.columns).map(|((cell, width), (_, align))| {
                    match align {
                        Align::Left => format!("{cell:width$}"),
                        Align::Right => format!("{cell:>width$}"),
                    }
                });
            let line = cells.collect::<Vec<_>>().join("  ");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |char: char| char.is_alphanumeric() || "_./-+:@=,".contains(char);
    if word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A cell on one line, control characters shown, cut where it is too long.
fn shown(cell: &str, chars_max: usize) -> String {
    let mut text = String::new();
    for char in cell.chars().take(chars_max) {
        if char.is_control() { text.extend(char.escape_default()) } else { text.push(char) }
    }
    if cell.chars().nth(chars_max).is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align() {
        let mut table = Table::new(&[("NAME", Align::Left), ("ROWS", Align::Right)]);
        table.row(vec!["a".to_owned(), "1".to_owned()]);
        table.row(vec!["longer\n".to_owned(), "12345".to_owned()]);
        assert_eq!(table.text(), "NAME       ROWS\na             1\nlonger\\n  12345\n");
    }

    #[test]
    fn commands_that_are_told_name_the_same_settings() {
        let told = |config: Option<&str>| {
            Output::new(false, false, true, config.map(Path::new)).told("run `viewd gc`, then `ls`")
        };
        assert_eq!(told(None), "run `viewd gc`, then `ls`");
        assert_eq!(told(Some("a/b.toml")), "run `viewd --config a/b.toml gc`, then `ls`");
        let output = Output::new(false, false, true, Some(Path::new("f")));
        assert_eq!(output.told("viewd rebuild p"), "viewd --config f rebuild p");
        assert_eq!(told(Some("it's")), r"run `viewd --config 'it'\''s' gc`, then `ls`");
    }

    #[test]
    fn long_cells_are_cut() {
        assert_eq!(shown(&"é".repeat(61), 60), format!("{}…", "é".repeat(60)));
    }
}
