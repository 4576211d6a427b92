//! A code as a QR code (ISO/IEC 18004): of one size for every code, so that a screen knows beforehand whether it fits.

use patchcord_peer::Code;
use qrcode::{Color, EcLevel, QrCode, Version};

/// Version 2 holds 32 bytes at level L; a code has 26 at most.
const VERSION: Version = Version::Normal(2);
const MODULES: usize = 25;
/// Light modules around it, as the standard asks for.
const QUIET: usize = 4;

/// Columns that it takes, a module each.
pub const QR_COLUMNS: usize = MODULES + 2 * QUIET;
/// Rows that it takes, two modules each.
pub const QR_ROWS: usize = QR_COLUMNS.div_ceil(2);

/// Of each cell, row by row, whether its upper and its lower module is dark. `None` for what is too long for a code.
pub fn cells(code: &Code) -> Option<Vec<[(bool, bool); QR_COLUMNS]>> {
    let qr = QrCode::with_version(code.reveal().as_bytes(), VERSION, EcLevel::L).ok()?;
    let dark = |row: usize, column: usize| {
        let inside = QUIET..QUIET + MODULES;
        inside.contains(&row) && inside.contains(&column) && qr[(column - QUIET, row - QUIET)] == Color::Dark
    };
    let cell = |row: usize, column: usize| (dark(2 * row, column), dark(2 * row + 1, column));
    Some((0..QR_ROWS).map(|row| std::array::from_fn(|column| cell(row, column))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_fits_and_reads_back() {
        for _ in 0..20 {
            let code = Code::generate().unwrap();
            let cells = cells(&code).unwrap();
            // Four pixels a module, as a camera sees more than one.
            let dark = |x: usize, y: usize| {
                let (upper, lower) = cells[y / 8][x / 4];
                if (y / 4).is_multiple_of(2) { upper } else { lower }
            };
            let mut image =
                rqrr::PreparedImage::prepare_from_greyscale(QR_COLUMNS * 4, QR_ROWS * 8, |x, y| {
                    if dark(x, y) { 0 } else { 255 }
                });
            let (_, content) = image.detect_grids()[0].decode().unwrap();
            assert_eq!(content, *code.reveal());
        }
        let longest = Code::parse("zzzzzzzz-yelp-yoyo-zebra").unwrap();
        assert!(super::cells(&longest).is_some());
    }
}
