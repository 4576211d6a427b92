//! The QR code of a sealed room's code, at the right of its overlay. It is painted dark on light whatever the ground of
//! the terminal is, as not every camera reads the reverse.

use ratatui::style::{Color, Style};

use super::Canvas;
use crate::{
    app::App,
    sealed::qr::{QR_COLUMNS, cells},
    theme::Theme,
};

pub fn draw(app: &App, theme: Theme, canvas: &mut Canvas<'_>) {
    let cells = app.invite().filter(|_| app.qr_fits()).and_then(|invite| cells(&invite.code));
    let left = canvas.columns().saturating_sub(QR_COLUMNS + 2);
    for (row, cells) in cells.unwrap_or_default().into_iter().enumerate() {
        for (column, (upper, lower)) in cells.into_iter().enumerate() {
            let (text, style) = cell(theme, upper, lower);
            canvas.put(row + 1, left + column, text, style);
        }
    }
}

fn cell(theme: Theme, upper: bool, lower: bool) -> (&'static str, Style) {
    let (dark, light) = match theme {
        Theme::Indexed => (Color::Indexed(16), Color::Indexed(231)),
        Theme::Sixteen => (Color::Black, Color::White),
        // Without colours the light modules are those that are filled, as fits a dark ground.
        Theme::Plain => {
            let text = match (upper, lower) {
                (false, false) => "█",
                (false, true) => "▀",
                (true, false) => "▄",
                (true, true) => " ",
            };
            return (text, Style::new());
        }
    };
    let of = |is_dark| if is_dark { dark } else { light };
    ("▀", Style::new().fg(of(upper)).bg(of(lower)))
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, tz::TimeZone};
    use patchcord_peer::{Code, PeerId, RoomInfo};
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::{
        app::{Setup, Surface},
        clock::Moment,
        sealed::Invite,
    };

    const SCALE: usize = 4;
    const COLUMNS: u16 = 80;
    const ROWS: u16 = 24;

    fn app(code: &Code) -> App {
        let info = RoomInfo {
            peer_id: PeerId::parse("me").unwrap(),
            room: code.locator().into(),
            display_name: "me".into(),
            peers: Vec::new(),
            server: "test".into(),
            permissions: Vec::new(),
        };
        let invite = Invite { code: code.clone(), server: "http://host:50051".into(), made: true };
        let surface = Surface::Screen { columns: COLUMNS, rows: ROWS };
        let setup = Setup { invite: Some(invite), ..Setup::new(info, surface, TimeZone::UTC) };
        App::new(setup, Moment { wall: Timestamp::UNIX_EPOCH, uptime: std::time::Duration::ZERO })
    }

    #[test]
    fn a_camera_reads_it_from_the_screen_with_256_16_and_no_colours() {
        let code = Code::generate().unwrap();
        let app = app(&code);
        for (theme, light) in [
            (Theme::Indexed, Some(Color::Indexed(231))),
            (Theme::Sixteen, Some(Color::White)),
            (Theme::Plain, None),
        ] {
            let mut terminal = Terminal::new(TestBackend::new(COLUMNS, ROWS)).unwrap();
            terminal.draw(|frame| crate::ui::draw(&app, theme, frame)).unwrap();
            let buffer = terminal.backend().buffer();
            // The ground of the terminal is dark.
            let is_light = |x: usize, y: usize| {
                let cell =
                    &buffer[(u16::try_from(x / SCALE).unwrap(), u16::try_from(y / SCALE / 2).unwrap())];
                let upper = (y / SCALE).is_multiple_of(2);
                match (light, cell.symbol(), upper) {
                    (Some(light), "▀", true) => cell.fg == light,
                    (Some(light), "▀", false) => cell.bg == light,
                    (None, "█", _) | (None, "▀", true) | (None, "▄", false) => true,
                    _ => false,
                }
            };
            let (width, height) = (usize::from(COLUMNS) * SCALE, usize::from(ROWS) * SCALE * 2);
            let pixel = |x, y| if is_light(x, y) { 255 } else { 0 };
            let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, pixel);
            let (_, content) = image.detect_grids()[0].decode().unwrap();
            assert_eq!(content, *code.reveal(), "{theme:?}");
        }
    }
}
