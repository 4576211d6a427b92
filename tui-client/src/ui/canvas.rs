//! A part of the screen to draw on. It takes only text that has passed the gate, and clips it.

use ratatui::{
    buffer::{Buffer, CellDiffOption},
    layout::{Position, Rect},
    style::Style,
};

use crate::{safe_text::SafeStr, wrap};

/// A part of the screen; rows and columns count from its top left.
pub struct Canvas<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
}

impl<'a> Canvas<'a> {
    /// The part of `buffer` that is in `area`; the terminal may have become smaller meanwhile.
    pub fn new(buffer: &'a mut Buffer, area: Rect) -> Self {
        let area = area.intersection(buffer.area);
        Self { buffer, area }
    }

    /// Its width.
    pub fn columns(&self) -> usize {
        usize::from(self.area.width)
    }

    /// Its height.
    pub fn rows(&self) -> usize {
        usize::from(self.area.height)
    }

    /// Writes one line and returns the column after it.
    pub fn put<'t>(
        &mut self,
        row: usize,
        column: usize,
        text: impl Into<SafeStr<'t>>,
        style: Style,
    ) -> usize {
        let text = text.into().as_str();
        let end = column + wrap::width(text);
        if let Some(at) = self.position(row, column) {
            self.buffer.set_stringn(at.x, at.y, text, self.columns() - column, style);
            self.guard_uncertain(at, text, self.columns() - column);
        }
        end
    }

    /// A terminal may draw a grapheme over more cells than it has here, such as an emoji with a skin tone. The cells
    /// after it are therefore written each time, or the rest of it would stay there when the row changes.
    fn guard_uncertain(&mut self, start: Position, text: &str, columns: usize) {
        let mut column = 0;
        for (columns_here, columns_at_most) in wrap::uncertain_widths(text) {
            let (from, to) = (column + columns_here, column + columns_at_most);
            column += columns_here;
            if column > columns {
                return;
            }
            let first = self.buffer.index_of(start.x, start.y);
            for cell in self.buffer.content.iter_mut().skip(first + from).take(to - from) {
                cell.set_diff_option(CellDiffOption::AlwaysUpdate);
            }
        }
    }

    /// Writes one line so that it ends at the right edge, if there is room for it after column `from`.
    pub fn put_right<'t>(
        &mut self,
        row: usize,
        from: usize,
        text: impl Into<SafeStr<'t>>,
        style: Style,
    ) -> bool {
        let text = text.into();
        let start = self.columns().checked_sub(wrap::width(text.as_str())).filter(|start| *start >= from);
        if let Some(start) = start {
            self.put(row, start, text, style);
        }
        start.is_some()
    }

    /// Writes `text`, which is one column wide, from `start` to before `end`.
    pub fn fill(&mut self, row: usize, start: usize, end: usize, text: &'static str, style: Style) {
        for column in start..end.min(self.columns()) {
            self.put(row, column, text, style);
        }
    }

    /// Changes the style of a whole row.
    pub fn style_row(&mut self, row: usize, style: Style) {
        if let Some(at) = self.position(row, 0) {
            self.buffer.set_style(Rect::new(at.x, at.y, self.area.width, 1), style);
        }
    }

    /// Where a cell is on the whole screen; `None` outside.
    pub fn position(&self, row: usize, column: usize) -> Option<Position> {
        let (x, y) = (u16::try_from(column).ok()?, u16::try_from(row).ok()?);
        let inside = x < self.area.width && y < self.area.height;
        inside.then(|| Position::new(self.area.x + x, self.area.y + y))
    }
}
