//! The prompt in a terminal of its own: the test binary starts itself again with a pseudo terminal
//! as its standard streams, and asks a real API server in there.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use nix::pty::{OpenptyResult, Winsize, openpty};

use super::*;
use crate::cli::sql::{sink::Sink, test_world::World};

const NAME: &str = "cli::sql::prompt::tests::a_terminal_has_history_completion_and_commands";
const INSIDE: &str = "TIPHYS_TEST_PROMPT";
const UP: &str = "\x1b[A";
const CTRL_C: &str = "\x03";

/// What a user has before them.
struct Terminal {
    child: Child,
    keys: File,
    screen: mpsc::Receiver<Vec<u8>>,
    /// What was shown since the last [`Terminal::wait`].
    shown: String,
}

impl Terminal {
    fn start(state: &Path) -> Self {
        // Wide, so that no line is broken.
        let size = Winsize { ws_row: 50, ws_col: 500, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(Some(&size), None).expect("a terminal");
        let end = || Stdio::from(slave.try_clone().expect("its other end"));
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", NAME, "--nocapture"])
            .env(INSIDE, "yes")
            .env("XDG_STATE_HOME", state)
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .env_remove("PSQL_PAGER")
            .env_remove("PSQL_EDITOR")
            .env("PAGER", "sed 's/^/paged /'")
            // What it is given is put in the place of the statement.
            .env("EDITOR", "echo \"select 'edited' as told;\" >")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("it starts");
        drop(slave);
        let mut output = File::from(master.try_clone().expect("the terminal"));
        let (sender, screen) = mpsc::channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // Reading fails once nobody has the other end any more.
            while let Ok(length) = output.read(&mut piece) {
                if length == 0 || sender.send(piece[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys: File::from(master), screen, shown: String::new() }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("pressed");
    }

    /// Waits until this is shown, and forgets what stood up to it.
    fn wait(&mut self, text: &str) {
        loop {
            if let Some(at) = self.shown.find(text) {
                self.shown.drain(..at + text.len());
                return;
            }
            match self.screen.recv_timeout(Duration::from_secs(120)) {
                Ok(piece) => self.shown.push_str(&String::from_utf8_lossy(&piece)),
                Err(error) => panic!("{text:?} was not shown ({error}): {:?}", self.shown),
            }
        }
    }

    fn leave(mut self) {
        self.press("\\q\r");
        self.wait("1 passed");
        assert!(self.child.wait().expect("it ends").success());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // When it has ended there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is there beside statements: a word that is no command, a pager, an editor, expanded answers.
fn commands(terminal: &mut Terminal) {
    terminal.press("\\z\r");
    terminal.wait("error: there is no command \\z: \\? lists them");
    terminal.wait("tiphys=> ");
    // More than fits.
    terminal.press("select value from generate_series(1, 200);\r");
    terminal.wait("paged | 200 ");
    terminal.wait("paged (200 rows)");
    terminal.wait("tiphys=> ");
    // What fits has no pager.
    terminal.press("select 'short' as word;\r");
    terminal.wait("\n| short |");
    terminal.wait("(1 row)");
    terminal.wait("tiphys=> ");
    terminal.press("select 'gone'\r");
    terminal.wait("tiphys-> ");
    terminal.press("\\e\r");
    terminal.wait("| edited |");
    terminal.wait("tiphys=> ");
    terminal.press("\\gx\r");
    terminal.wait("-[ RECORD 1 ]");
    terminal.wait("told | edited");
    terminal.wait("tiphys=> ");
}

/// What stands in the terminal.
async fn inside() {
    let world = World::start().await;
    Prompt::new(Session::new(world.client.clone(), Format::Table, Sink::stdout())).run().await.expect("left");
    world.end().await;
}

#[test]
fn a_terminal_has_history_completion_and_commands() {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        return runtime.expect("threads").block_on(inside());
    }
    let state = tempfile::tempdir().expect("a folder");
    let mut terminal = Terminal::start(state.path());
    terminal.wait("\\? for help");
    terminal.wait("tiphys=> ");
    // A keyword is completed, and the whole asked.
    terminal.press("sel\t");
    terminal.wait("tiphys=> select");
    terminal.press(" 40 + 2 as answer;\r");
    terminal.wait("| 42 ");
    terminal.wait("tiphys=> ");
    // The statement before, once more.
    terminal.press(UP);
    terminal.wait("select 40 + 2 as answer;");
    terminal.press("\r");
    terminal.wait("| 42 ");
    terminal.wait("tiphys=> ");
    // Over two lines; and one that is thrown away.
    terminal.press("select 'two'\r");
    terminal.wait("tiphys-> ");
    terminal.press("as lines;\r");
    terminal.wait("| two ");
    terminal.wait("tiphys=> ");
    terminal.press("select oops\r");
    terminal.wait("tiphys-> ");
    terminal.press(CTRL_C);
    terminal.wait("tiphys=> ");
    commands(&mut terminal);
    // A table's name is completed behind \d.
    terminal.press("\\d deci\t\r");
    terminal.wait("\\d decisions");
    terminal.wait("desired_replicas");
    terminal.wait("tiphys=> ");
    terminal.leave();
    let history = std::fs::read_to_string(state.path().join("tiphys/sql_history")).expect("a history");
    assert!(history.contains("select 40 + 2 as answer;") && !history.contains("oops"), "{history}");
    // The next one knows what was asked.
    let mut terminal = Terminal::start(state.path());
    terminal.wait("tiphys=> ");
    terminal.press(UP);
    terminal.wait("\\d decisions");
    terminal.press("\r");
    terminal.wait("desired_replicas");
    terminal.wait("tiphys=> ");
    terminal.leave();
}
