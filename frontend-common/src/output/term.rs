//! The terminal that a bar is drawn on, through the same place as everything else.

use std::io;
use std::sync::Mutex;

use indicatif::TermLike;

/// Standard error as indicatif wants it: collected, and passed on at each flush.
#[derive(Debug, Default)]
pub struct Term {
    text: Mutex<String>,
}

impl Term {
    fn add(&self, text: &str) -> io::Result<()> {
        if let Ok(mut held) = self.text.lock() {
            held.push_str(text);
        }
        Ok(())
    }

    fn move_cursor(&self, n: usize, letter: char) -> io::Result<()> {
        if n == 0 { Ok(()) } else { self.add(&format!("\x1b[{n}{letter}")) }
    }
}

impl TermLike for Term {
    fn width(&self) -> u16 {
        rustix::termios::tcgetwinsize(io::stderr()).map_or(80, |size| size.ws_col.max(20))
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.add(&format!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.add(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.add("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let text = self.text.lock().map(|mut text| std::mem::take(&mut *text)).unwrap_or_default();
        if !text.is_empty() {
            super::err(&text);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_passed_on_whole() {
        let term = Term::default();
        term.clear_line().unwrap();
        term.move_cursor_up(2).unwrap();
        term.move_cursor_up(0).unwrap();
        term.write_str("50%").unwrap();
        assert_eq!(*term.text.lock().unwrap(), "\r\x1b[2K\x1b[2A50%");
    }
}
