//! A sealed room on two screens: a code is made and shown, also as a QR code that can be read; it is typed with Tab;
//! both see the same words.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use std::path::Path;

use kit::{pty::Pty, server::Server};
use tempfile::TempDir;

fn join(server: &Server, home: &TempDir, name: &str, more: &[&str], environment: &[(&str, &str)]) -> Pty {
    let url = server.url();
    let log = home.path().join("log");
    let here = ["join", "--server", &url, "--name", name, "--local-address", "127.0.0.1"];
    let logged = ["--log-file", log.to_str().unwrap(), "--log-level", "trace"];
    let environment = [&[("XDG_STATE_HOME", home.path().to_str().unwrap())], environment].concat();
    let arguments = [&here[..], &logged, more].concat();
    Pty::run_with(Path::new(env!("CARGO_BIN_EXE_patchcord")), &arguments, &environment, 80, 24)
}

/// The code in the overlay that lies over a room that was made just now.
fn shown_code(pty: &Pty) -> String {
    pty.wait_text("Others type");
    let contents = pty.contents();
    let at = contents.lines().position(|line| line.contains("─ Code ") || line.contains(" Code ─")).unwrap();
    contents.lines().nth(at + 1).unwrap().trim_start_matches(['│', ' ']).split(' ').next().unwrap().to_owned()
}

/// What a camera reads from the screen.
fn scanned(screen: &vt100::Screen) -> Option<String> {
    const SCALE: usize = 4;
    let light = |colour: vt100::Color| !matches!(colour, vt100::Color::Idx(16));
    let painted = |x: usize, y: usize| {
        let cell = screen.cell(u16::try_from(y / 2 / SCALE).ok()?, u16::try_from(x / SCALE).ok()?)?;
        (cell.contents() == "▀").then(|| match (y / SCALE).is_multiple_of(2) {
            true => light(cell.fgcolor()),
            false => light(cell.bgcolor()),
        })
    };
    // What is not painted is the ground of a dark terminal.
    let pixel = |x, y| if painted(x, y).unwrap_or(false) { 255 } else { 0 };
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(80 * SCALE, 48 * SCALE, pixel);
    Some(image.detect_grids().first()?.decode().ok()?.1)
}

#[test]
fn a_code_that_is_shown_on_one_screen_and_typed_on_another_makes_a_verified_chat() {
    let server = Server::start();
    let (here, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let ana = join(&server, &here, "ana", &["--new"], &[]);
    let code = shown_code(&ana);
    let scan = |screen: &vt100::Screen| scanned(screen).as_deref() == Some(&code);
    ana.wait("a QR code of the code", scan);
    assert!(ana.contents().contains(&format!("#{} sealed", &code[..8])), "{}", ana.contents());

    let bo = join(&server, &there, "bo", &[], &[]);
    bo.wait_text("room or code: ");
    bo.write(&code);
    bo.write("\r");
    for (pty, peer) in [(&ana, "bo"), (&bo, "ana")] {
        pty.wait_text(&format!("chat with {peer} is open"));
        pty.wait("the mark", |screen| {
            screen
                .contents()
                .lines()
                .any(|line| line.contains(peer) && line.trim_end().ends_with(" verified"))
        });
        pty.write("\x1bOR");
        pty.wait_text("verified by the code");
    }
    let string = |pty: &Pty| {
        let contents = pty.contents();
        let at = contents.lines().position(|line| line.contains("verified by the code")).unwrap();
        let row = |more: usize| {
            let row = contents.lines().nth(at + more).unwrap().trim_matches(['│', ' ']).to_owned();
            row.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        [row(1), row(2)]
    };
    assert_eq!(string(&ana), string(&bo));
    assert_eq!(string(&ana).map(|row| row.len()), [4, 3], "four words, three numbers");
    for pty in [&ana, &bo] {
        pty.write("\x1bOR");
        pty.wait("the transcript", |screen| screen.contents().contains("knows the code"));
    }
    ana.enter("hello bo");
    bo.wait_text("hello bo");
    ana.enter("/code");
    ana.wait("the code again", scan);

    let words = code.split_once('-').unwrap().1;
    for home in [&here, &there] {
        let log = std::fs::read_to_string(home.path().join("log")).unwrap();
        assert!(log.contains(&server.url()["http://".len()..]) && !log.contains(words), "{log}");
    }
    for pty in [&ana, &bo] {
        pty.write("\x11");
        assert!(pty.end().success());
        pty.assert_restored();
    }
}

#[test]
fn a_code_that_was_mistyped_can_be_mended_and_a_room_may_be_named_as_well() {
    let server = Server::start();
    let home = TempDir::new().unwrap();
    let bo = join(&server, &home, "bo", &[], &[]);
    bo.wait_text("room or code: ");
    bo.enter("7k3m9xqd-acid-acornn-yard");
    bo.wait_text("did you mean \"acorn\"?");
    bo.write("\x157k3m9xqd-aco\t");
    bo.wait_text("room or code: 7k3m9xqd-acorn-");
    bo.write("ac\t");
    bo.wait_text("7k3m9xqd-acorn-ac   acid acorn acre");
    bo.write("\x15lob");
    bo.wait_text("room or code: lob");
    bo.write("\x1b[200~by\r\x1b[201~\r");
    bo.wait_text("you are bo in the room lobby");
    bo.write("\x11");
    assert!(bo.end().success());
    bo.assert_restored();
}

/// Ends the question by `end`, and returns the exit code.
fn ended_by(end: impl FnOnce(&Pty)) -> u32 {
    let server = Server::start();
    let home = TempDir::new().unwrap();
    let bo = join(&server, &home, "bo", &[], &[]);
    bo.wait_text("room or code: ");
    end(&bo);
    let code = bo.end().exit_code();
    bo.assert_restored();
    code
}

#[test]
fn the_question_gives_the_terminal_back_however_it_ends() {
    assert_eq!(ended_by(|pty| pty.write("\x03")), 130);
    assert_eq!(ended_by(|pty| pty.write("\x04")), 2);
    assert_eq!(ended_by(|pty| pty.signal(rustix::process::Signal::TERM)), 143);
    assert_eq!(ended_by(|pty| pty.signal(rustix::process::Signal::HUP)), 129);
}

#[test]
fn a_terminal_that_can_do_little_asks_in_its_own_line() {
    let server = Server::start();
    let home = TempDir::new().unwrap();
    let bo = join(&server, &home, "bo", &[], &[("TERM", "dumb")]);
    bo.wait_text("room or code: ");
    bo.enter("lobby");
    bo.wait_text("you are bo in the room lobby");
}

#[test]
fn without_colours_the_code_is_drawn_in_blocks() {
    let server = Server::start();
    let home = TempDir::new().unwrap();
    let ana = join(&server, &home, "ana", &["--new"], &[("NO_COLOR", "1")]);
    shown_code(&ana);
    ana.wait("blocks and no colour", |screen| {
        let cells = (0..24).flat_map(|row| (0..80).filter_map(move |column| screen.cell(row, column)));
        let (mut blocks, mut colours) = (0, 0);
        for cell in cells {
            blocks += usize::from(matches!(cell.contents(), "█" | "▀" | "▄"));
            colours += usize::from(cell.bgcolor() != vt100::Color::Default);
        }
        blocks > 200 && colours == 0
    });
}
