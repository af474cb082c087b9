//! Text in columns: [`print`].

use std::io::Write;

use anyhow::Result;

/// Prints rows of equally many cells, each column as wide as its longest cell. Columns whose heading begins with a space
/// are aligned to the right.
pub(super) fn print(out: &mut impl Write, headings: &[&str], rows: &[Vec<String>]) -> Result<()> {
    let names: Vec<String> = headings.iter().map(|it| it.trim().to_owned()).collect();
    let all = || std::iter::once(&names).chain(rows);
    let width = |idx: usize| all().map(|row| row[idx].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    for row in all() {
        let mut line = String::new();
        for ((cell, heading), &width) in row.iter().zip(headings).zip(&widths) {
            let cell =
                if heading.starts_with(' ') { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
            line.push_str(&cell);
            line.push_str("  ");
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let mut out = Vec::new();
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        print(&mut out, &["NAME", " SIZE", "IT"], &[row(["a", "10", ""]), row(["longer", "9", "x"])])
            .unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "NAME    SIZE  IT\na         10\nlonger     9  x\n");
    }
}
