//! `sockeye top`: how a running process is, live in the terminal.
//!
//! The terminal is restored whatever ends it: a key, a signal, the end of the process that it shows, or a
//! panic.
//!
//! Runs at start, at reload, or on a timer.

mod screen;

use std::error::Error;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use clap::Args;
use http::Method;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::Rect;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::Outcome;
use super::query::{self, QueryArguments};
use crate::admin::model::Overview;
use screen::{Screen, text};

/// The process, and how to show it.
#[derive(Debug, Args)]
pub(super) struct TopArguments {
    #[command(flatten)]
    query: QueryArguments,
    /// Print the screen once as text, and end
    #[arg(long)]
    once: bool,
}

/// What the screen waits for.
#[derive(Debug)]
enum Message {
    Seen(Result<Box<Overview>, String>),
    Key(KeyEvent),
    Resized,
    Signal,
}

/// Shows how the process is until `q` is pressed.
pub(super) fn top(arguments: &TopArguments) -> Outcome {
    if arguments.query.is_json() {
        return print(&format!("{:#}\n", request(&arguments.query)?));
    }
    let first = overview(&arguments.query)?;
    let mut screen = Screen::new(first);
    if arguments.once {
        let is_terminal = io::stdout().is_terminal();
        let size = is_terminal.then(|| ratatui::crossterm::terminal::size().ok()).flatten();
        let (width, height) = size.unwrap_or(ONCE_SIZE);
        return print(&text(&screen, Rect::new(0, 0, width.max(40), height.max(12))));
    }
    let (sender, messages) = sync_channel(MESSAGES_MAX);
    let query = arguments.query.clone();
    let seen = sender.clone();
    thread::spawn(move || watch(&query, &seen));
    let keys = sender.clone();
    thread::spawn(move || read_keys(&keys));
    thread::spawn(move || wait_for_signal(&sender));
    // From here on, a panic restores the terminal before it is printed.
    let mut terminal = ratatui::try_init()?;
    let shown = show(&mut terminal, &mut screen, &messages);
    ratatui::try_restore()?;
    Ok(shown?)
}

fn show(
    terminal: &mut DefaultTerminal,
    screen: &mut Screen,
    messages: &Receiver<Message>,
) -> io::Result<()> {
    loop {
        terminal.draw(|frame| screen.draw(frame.area(), frame.buffer_mut()))?;
        match messages.recv_timeout(REDRAW_EVERY) {
            Ok(Message::Seen(Ok(overview))) => screen.set(*overview),
            Ok(Message::Seen(Err(failure))) => screen.set_failure(failure),
            Ok(Message::Key(key)) if ends(key) => return Ok(()),
            Ok(Message::Key(key)) => scroll(screen, key),
            Ok(Message::Resized) | Err(RecvTimeoutError::Timeout) => (),
            Ok(Message::Signal) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

fn ends(key: KeyEvent) -> bool {
    let is_interrupt =
        key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    is_interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
}

fn scroll(screen: &mut Screen, key: KeyEvent) {
    match key.code {
        KeyCode::Down | KeyCode::Char('j') => screen.scroll(1),
        KeyCode::Up | KeyCode::Char('k') => screen.scroll(-1),
        KeyCode::PageDown => screen.scroll(10),
        KeyCode::PageUp => screen.scroll(-10),
        _ => (),
    }
}

/// Asks once a second, until nobody listens.
fn watch(query: &QueryArguments, seen: &SyncSender<Message>) {
    loop {
        thread::sleep(ASK_EVERY);
        let answer = overview(query).map(Box::new).map_err(|error| error.to_string());
        if seen.send(Message::Seen(answer)).is_err() {
            return;
        }
    }
}

fn read_keys(keys: &SyncSender<Message>) {
    while let Ok(event) = event::read() {
        let message = match event {
            Event::Key(key) if key.kind == KeyEventKind::Press => Message::Key(key),
            Event::Resize(..) => Message::Resized,
            _ => continue,
        };
        if keys.send(message).is_err() {
            return;
        }
    }
}

/// SIGTERM and SIGHUP end the program in order. If they cannot be waited for, they end it at once.
fn wait_for_signal(signals: &SyncSender<Message>) {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
    let came = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        tokio::select! {
            _ = terminate.recv() => (),
            _ = hang_up.recv() => (),
        }
        io::Result::Ok(())
    });
    if came.is_ok() {
        // Fails if the program ends anyway.
        let _ = signals.send(Message::Signal);
    }
}

fn overview(query: &QueryArguments) -> Result<Overview, Box<dyn Error>> {
    Ok(serde_json::from_value(request(query)?)?)
}

fn request(query: &QueryArguments) -> Result<serde_json::Value, Box<dyn Error>> {
    query::request(query, Method::GET, "/overview")
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn print(text: &str) -> Outcome {
    print!("{text}");
    Ok(())
}

const ASK_EVERY: Duration = Duration::from_secs(1);

/// So that the age of the numbers is right while the process does not answer.
const REDRAW_EVERY: Duration = Duration::from_secs(1);

/// Keys that are pressed while the screen is drawn.
const MESSAGES_MAX: usize = 64;

/// The size of a screen that is no terminal.
const ONCE_SIZE: (u16, u16) = (80, 24);
