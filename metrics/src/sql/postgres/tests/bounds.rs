//! How many may connect, when a connection that says nothing ends, and what its functions may make.

use tokio::{io::AsyncReadExt, process::Child};

use super::*;

impl Served {
    /// One client more that has signed in and waits for its statement, until it is dropped.
    async fn hold(&self, held: &mut Vec<Child>, user: &str) {
        let spawned = || {
            let mut psql = self.psql(user, "sslmode=require");
            psql.args(["-c", ENDLESS]).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
            psql.spawn().expect("psql is there: make setup")
        };
        // A statement before this one may not have left its slot yet: it isn't the one that is waited for.
        self.runs(held.len()).await;
        let mut psql = spawned();
        let running = async {
            while self.world.engine.runner.running() <= held.len() {
                // Nor may a connection that has been closed have left its place.
                if psql.try_wait().expect("a child").is_some() {
                    psql = spawned();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), running).await.expect("it runs");
        held.push(psql);
    }

    /// Waits until there is a place for the user: who has gone leaves one.
    async fn until_answered(&self, user: &str) {
        let answered = async {
            while !self.ask(user, &["select 1"]).await.status.success() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), answered).await.expect("there is a place");
    }

    /// Waits until so many statements run.
    async fn runs(&self, wanted: usize) {
        let runner = &self.world.engine.runner;
        let until = async {
            while runner.running() != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(120), until).await;
        assert!(waited.is_ok(), "{} run, not {wanted}", runner.running());
    }
}

#[tokio::test]
async fn abuse_33_one_users_connections_leave_places_for_others() {
    let served = Served::within(Bounds { of_address: 4, of_user: 2, ..Bounds::default() });
    let mut held = Vec::new();
    served.hold(&mut held, "bank").await;
    served.hold(&mut held, "bank").await;
    let said = served.error("bank", "select 1").await;
    assert!(said.contains("FATAL") && said.contains("too many connections: there are 2 of bank"), "{said}");
    assert_eq!(served.lines("shop", &["select 1"]).await, ["1"]);
    served.hold(&mut held, "shop").await;
    served.hold(&mut held, "shop").await;
    let said = served.error("admin", "select 1").await;
    assert!(said.contains("too many connections: there are 4 from 127.0.0.1"), "{said}");
    drop(held);
    served.until_answered("bank").await;
    served.world.end().await;
}

#[tokio::test]
async fn abuse_33_a_connection_on_which_nothing_is_asked_ends() {
    let served = Served::new().await;
    let (mut has_ended, mut told) = (false, String::new());
    // A busy machine may ask too late for the first, or end it too late: it tries again with longer times.
    for pause in [3, 6, 12, 24] {
        if has_ended {
            break;
        }
        let options = format!("sslmode=require options='-c idle_session_timeout={}'", pause * 100);
        let mut psql = served.psql("admin", &options);
        // What is idle here is the connection: psql waits for its own child.
        let sleep = format!(r"\! sleep {pause}");
        psql.args(["-A", "-t", "-c", "select 1", "-c", sleep.as_str(), "-c", "select 2"]);
        let output = psql.output().await.expect("psql is there: make setup");
        let (rows, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        has_ended = !output.status.success() && said.contains("57P05") && rows == "1\n";
        told.extend([rows, said]);
    }
    assert!(has_ended, "{told}");
    let set = ["set idle_session_timeout = '1min'", r"\! sleep 1", "select 2"];
    assert_eq!(served.lines("admin", &set).await, ["SET", "2"], "it is not idle for so long");
    served.world.end().await;
}

#[tokio::test]
async fn abuse_33_who_never_signs_in_is_cut_off_and_no_other_waits() {
    let startup = Duration::from_secs(3);
    let served = Served::within(Bounds { of_address: 2, startup, ..Bounds::default() });
    let connect = async || TcpStream::connect(("127.0.0.1", served.port)).await.expect("connected");
    let mut silent = [connect().await, connect().await, connect().await];
    for socket in &mut silent {
        let ended = tokio::time::timeout(Duration::from_secs(120), socket.read(&mut [0; 16])).await;
        assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
    }
    // One that a busy machine cuts off, too, comes again.
    served.until_answered("admin").await;
    served.world.end().await;
}

#[tokio::test]
async fn abuse_35_functions_and_types_have_their_bounds_here_too() {
    let served = Served::new().await;
    for (statement, expected) in [
        ("select range(0, 2000000000)", "range makes a constant of more than"),
        ("select length(quote_ident(repeat('\"', 10000000)))", "quote_ident makes a constant of more than"),
        ("select cast(null as bigint[2000000000])", "has more than 1024 elements"),
    ] {
        let said = served.error("admin", statement).await;
        assert!(said.contains(expected), "{statement}: {said}");
    }
    served.world.end().await;
}
