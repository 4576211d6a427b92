//! Two people chat on two screens, through a real server and a real data channel.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

mod kit;

use std::path::Path;

use kit::{pty::Pty, server::Server};

fn pair(server: &Server) -> (Pty, Pty) {
    let (ana, bo) = (server.join("ana"), server.join("bo"));
    ana.wait_text("chat with bo is open");
    bo.wait_text("chat with ana is open");
    (ana, bo)
}

#[test]
fn what_one_writes_the_other_reads_and_both_see_that_it_arrived() {
    let server = Server::start();
    let (ana, bo) = pair(&server);
    ana.enter("hello bo");
    bo.wait("the line", |screen| screen.contents().lines().any(|line| line.contains("ana        hello bo")));
    ana.wait("the receipt", |screen| {
        screen.contents().lines().any(|line| line.contains("hello bo") && line.contains("✓✓"))
    });
    bo.write("\x1b[200~two\rlines \u{1b}]0;title\u{7}\x1b[201~");
    bo.wait_text("lines ␛]0;title␇");
    bo.enter("");
    ana.wait_text("lines ␛]0;title␇");
    bo.enter("/me waves");
    ana.wait_text("* bo waves");
    ana.enter("/msg bo a word in private");
    bo.wait_text("(to you alone) a word in private");
    ana.enter("/nick anabel");
    bo.wait_text("ana is now anabel");
    for pty in [&ana, &bo] {
        pty.enter("/quit");
        assert!(pty.end().success());
        pty.assert_restored();
    }
}

#[test]
fn others_join_by_the_line_that_a_host_sees_on_its_screen() {
    let program = Path::new(env!("CARGO_BIN_EXE_patchcord"));
    let here = ["--local-address", "127.0.0.1", "--name"];
    let host = [&["host", "lobby", "--bind", "127.0.0.1:0"], &here[..], &["ana"]].concat();
    let ana = Pty::run(program, &host, 160, 24);
    ana.wait_text("others join with:  patchcord join lobby --server http://");
    let contents = ana.contents();
    let line = contents.lines().find_map(|line| line.split("others join with:  patchcord ").nth(1)).unwrap();
    let typed: Vec<&str> = line.split_whitespace().take(4).collect();
    let bo = Pty::run(program, &[&typed[..], &here[..], &["bo"]].concat(), 80, 24);
    bo.wait_text("chat with ana is open");
    ana.wait_text("chat with bo is open");
}

#[test]
fn one_who_writes_is_shown_as_writing() {
    let server = Server::start();
    let (ana, bo) = pair(&server);
    ana.write("thinking");
    ana.wait("the real cursor after the text", |screen| {
        screen.cursor_position() == (22, 10) && !screen.hide_cursor()
    });
    bo.wait_text("ana is writing…");
    ana.enter("");
    bo.wait("the text instead", |screen| {
        let contents = screen.contents();
        contents.contains("thinking") && !contents.contains("ana is writing")
    });
}

#[test]
fn who_sends_many_short_texts_is_not_taken_for_a_flood() {
    let server = Server::start();
    let (ana, bo) = pair(&server);
    // Each by itself, as somebody types who is fast: what comes at once would be told at once.
    for number in 0..60 {
        bo.enter(&format!("text {number}."));
        ana.wait("the text or a complaint", |screen| {
            let contents = screen.contents();
            contents.contains(&format!("text {number}.")) || contents.contains("broke the rules")
        });
    }
    assert!(!ana.contents().contains("broke the rules"), "{}", ana.contents());
}

#[test]
fn what_a_terminal_draws_wider_than_it_is_leaves_nothing_behind() {
    let server = Server::start();
    let (ana, bo) = pair(&server);
    // This terminal draws the tone of the skin as a character of its own.
    bo.enter("/me waves \u{1f44b}\u{1f3fd}");
    ana.wait("a hand, and nothing after it", |screen| {
        let contents = screen.contents();
        contents.contains("waves \u{1f44b}") && !contents.contains('\u{1f3fd}')
    });
}

#[test]
fn a_chat_goes_on_when_the_server_crashes_and_the_screen_says_so() {
    let mut server = Server::start();
    let (ana, bo) = pair(&server);
    server.crash();
    for pty in [&ana, &bo] {
        pty.wait_text("signaling away");
    }
    ana.enter("still there?");
    bo.wait_text("still there?");
    bo.enter("still here");
    ana.wait_text("still here");
    ana.wait("the receipt", |screen| {
        screen.contents().lines().any(|line| line.contains("still there?") && line.contains("✓✓"))
    });
}

#[test]
fn nothing_is_connected_before_connect_and_what_was_written_waits() {
    let server = Server::start();
    let (ana, bo) = (server.join_with("ana", &["--wait"], &[]), server.join_with("bo", &["--wait"], &[]));
    ana.wait_text("bo joined");
    ana.enter("are you there?");
    ana.wait_text("queued: waits for a connection");
    ana.enter("/connect bo");
    bo.wait_text("are you there?");
    ana.wait("the receipt", |screen| {
        screen.contents().lines().any(|line| line.contains("are you there?") && line.contains("✓✓"))
    });
}

#[test]
fn what_its_receiver_left_without_is_marked_as_not_delivered() {
    let server = Server::start();
    let (ana, bo) = (server.join_with("ana", &["--wait"], &[]), server.join_with("bo", &["--wait"], &[]));
    ana.wait_text("bo joined");
    ana.enter("are you there?");
    ana.wait_text("queued: waits for a connection");
    bo.enter("/quit");
    ana.wait("the mark and the word", |screen| {
        let contents = screen.contents();
        let marked = contents.lines().any(|line| line.contains("are you there?") && line.contains('✗'));
        marked && contents.contains("─ not delivered ─")
    });
    assert!(bo.end().success());
}

#[test]
fn a_resize_lays_the_screen_out_anew() {
    let server = Server::start();
    let ana = server.join("ana");
    ana.wait_text("ana (you)");
    ana.resize(40, 10);
    ana.wait("the narrow screen", |screen| {
        let contents = screen.contents();
        contents.contains("F1 help") && !contents.contains("ana (you)")
    });
    ana.resize(20, 5);
    ana.wait_text("terminal too small");
    ana.resize(100, 30);
    ana.wait_text("ana (you)");
}

/// Whether any cell of the screen has a colour.
fn is_coloured(screen: &vt100::Screen) -> bool {
    let cells = (0..24).flat_map(|row| (0..80).filter_map(move |column| screen.cell(row, column)));
    cells
        .into_iter()
        .any(|cell| cell.fgcolor() != vt100::Color::Default || cell.bgcolor() != vt100::Color::Default)
}

#[test]
fn under_no_color_bold_and_reverse_survive_and_colours_do_not() {
    let server = Server::start();
    let ana = server.join_with("ana", &[], &[("NO_COLOR", "1")]);
    let bo = server.join("bo");
    bo.enter("hello ana");
    bo.wait("a colour", is_coloured);
    ana.wait("the name in bold and the title reversed", |screen| {
        let row = screen.contents().lines().position(|line| line.contains("bo         hello ana"));
        let bold =
            row.and_then(|row| screen.cell(u16::try_from(row).unwrap(), 6)).is_some_and(vt100::Cell::bold);
        bold && screen.cell(0, 1).is_some_and(vt100::Cell::inverse) && !is_coloured(screen)
    });
}
