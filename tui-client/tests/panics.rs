//! What a panic leaves behind: of the screen's thread, a restored terminal and a text that can be read; of any
//! other thread, an untouched screen. Runs itself in a pseudo-terminal, as a panic ends a process.
#![allow(clippy::unwrap_used, reason = "a test that fails by unwrap has failed as it should")]

#[cfg(unix)]
mod kit;

#[cfg(unix)]
fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("panic-of-the-owner") => child::panics(),
        Some("panic-of-another-thread") => child::another_thread_panics(),
        _ => parent::run(),
    }
}

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
mod child {
    use std::io::Read;

    use patchcord::terminal::TerminalGuard;

    fn guard() -> TerminalGuard {
        let guard = TerminalGuard::enter().unwrap();
        let mut screen = guard.screen().unwrap();
        screen.draw(|frame| frame.render_widget("THE SCREEN", frame.area())).unwrap();
        guard
    }

    pub fn panics() {
        let _guard = guard();
        panic!("boom of the owner");
    }

    pub fn another_thread_panics() {
        let mut guard = guard();
        let panicked = std::thread::spawn(|| panic!("boom of another")).join();
        assert!(panicked.is_err());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let told = runtime.block_on(guard.panicked());
        let mut screen = guard.screen().unwrap();
        screen.draw(|frame| frame.render_widget(format!("TOLD: {told}"), frame.area())).unwrap();
        std::io::stdin().read_exact(&mut [0]).unwrap();
    }
}

#[cfg(unix)]
mod parent {
    use super::kit::pty::Pty;

    fn run_child(case: &str) -> Pty {
        Pty::run(&std::env::current_exe().unwrap(), &[case], 120, 24)
    }

    fn a_panic_of_the_owner_restores_the_terminal_and_can_be_read() {
        let pty = run_child("panic-of-the-owner");
        assert_eq!(pty.end().exit_code(), 101);
        pty.wait_text("boom of the owner");
        pty.assert_restored();
        assert_eq!(pty.switches(), (1, 1), "restored once: a second time would wipe the text");
        assert!(!pty.contents().contains("THE SCREEN"));
    }

    fn a_panic_of_another_thread_leaves_the_screen_alone_and_is_told() {
        let pty = run_child("panic-of-another-thread");
        pty.wait("it being told", |screen| {
            screen.alternate_screen()
                && screen.contents().contains("TOLD:")
                && screen.contents().contains("boom of")
        });
        assert_eq!(pty.switches(), (1, 0));
        pty.write("q");
        assert!(pty.end().success());
        pty.wait_text("a part of the program failed");
        pty.assert_restored();
    }

    pub fn run() {
        println!("running 2 tests");
        a_panic_of_the_owner_restores_the_terminal_and_can_be_read();
        println!("test a_panic_of_the_owner_restores_the_terminal_and_can_be_read ... ok");
        a_panic_of_another_thread_leaves_the_screen_alone_and_is_told();
        println!("test a_panic_of_another_thread_leaves_the_screen_alone_and_is_told ... ok");
        println!("\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
    }
}
