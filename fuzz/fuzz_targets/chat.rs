//! Frames of a peer on the chat channel, over several channels: texts come once and in order, or the channel ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchcord_fuzz::steps;
use patchcord_peer::fuzzing::Chat;

/// Frames that one step may give; more is a loop without end.
const FRAMES_MAX: usize = 1000;

fuzz_target!(|input: &[u8]| {
    let mut chat = Chat::new();
    let mut heard = 0;
    let mut queued = 0;
    let mut settled = 0;
    let mut held = false;
    chat.channel_opened();
    for (what, step) in steps(input) {
        match what % 16 {
            0 => chat.channel_opened(),
            1 => chat.channel_closed(),
            2 => {
                chat.queue(&String::from_utf8_lossy(step));
                queued += 1;
            }
            3 => chat.say_goodbye(),
            4 => chat.set_display_name(&String::from_utf8_lossy(step)),
            8 => {
                chat.hold();
                held = true;
            }
            9 => {
                for seq in chat.release() {
                    assert!(seq == heard + 1 || seq == 1, "{seq} after {heard}");
                    heard = seq;
                    chat.handled(seq);
                }
                held = false;
            }
            10 => settled += chat.give_up_unsent(),
            _ => match chat.handle(step) {
                // As for a channel that is closed on such a peer.
                None => chat.channel_closed(),
                Some(frame) => {
                    settled += frame.delivered + frame.failed;
                    if let Some(seq) = frame.text_seq {
                        assert!(!held, "of a peer that is held");
                        assert!(seq == heard + 1 || seq == 1, "{seq} after {heard}");
                        heard = seq;
                        chat.handled(seq);
                    }
                }
            },
        }
        assert!((0..FRAMES_MAX).any(|_| chat.next_frame().is_none()));
        assert_eq!(settled + chat.undelivered(), queued, "each text is delivered or failed once, or waits");
    }
});
