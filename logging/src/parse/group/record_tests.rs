//! Records of several lines as programs write them, and lines beside them that are none of theirs.

use super::{tests::line, *};
use crate::record::Level::{Error, Fatal, Info, Unknown, Warn};

fn grouped(text: &str) -> Vec<String> {
    let (mut grouper, mut found) = (Grouper::default(), Vec::new());
    let mut take = |record: Grouped| found.push(String::from_utf8(record.body).expect("UTF-8"));
    for (time, body) in text.lines().enumerate() {
        grouper.push(line(time as i64, Source::Stdout, body), &mut take);
    }
    grouper.finish(Source::Stdout, &mut take);
    found
}

/// Records in the text are parted by a line of `====`.
#[track_caller]
fn check(text: &str) {
    let expected: Vec<&str> = text.split("\n====\n").collect();
    assert_eq!(grouped(&text.replace("\n====\n", "\n")), expected);
}

#[test]
fn traces_of_java() {
    check(concat!(
        "2026-01-31 12:00:00 INFO up\n====\n",
        "2026-01-31 12:00:01 ERROR [main] c.e.App - gone\n",
        "java.lang.IllegalStateException: boom\n",
        "\tat c.e.App.run(App.java:12) ~[app.jar:1]\n",
        "\tSuppressed: java.io.IOException: x\n",
        "\t\tat c.e.App.close(App.java:14)\n",
        "Caused by: java.sql.SQLException: no\n",
        "\tat c.e.Db.get(Db.java:3)\n",
        "\t... 12 more\n====\n",
        "2026-01-31 12:00:02 ERROR [main] c.e.App - again\n====\n",
        "Exception in thread \"main\" java.lang.Error: x\n\tat a.B.c(B.java:1)\n====\n",
        "2026-01-31 12:00:03 INFO done",
    ));
}

#[test]
fn traces_of_python() {
    check(concat!(
        "ERROR:root:gone\n",
        "Traceback (most recent call last):\n",
        "  File \"a.py\", line 1, in f\n",
        "    x[1]\n",
        "    ~^^^\n",
        "KeyError: 1\n",
        "\n",
        "During handling of the above exception, another exception occurred:\n",
        "\n",
        "Traceback (most recent call last):\n",
        "  File \"a.py\", line 3, in g\n",
        "app.errors.NotFound\n====\n",
        "INFO:root:next\n====\n",
        "Traceback (most recent call last):\n",
        "  File \"a.py\", line 3, in g\n",
        "ValueError: 2\n====\n",
        "\n====\n",
        "INFO:root:after an empty line",
    ));
}

#[test]
fn lines_that_loggers_indent_are_none_of_a_trace() {
    check(concat!(
        "   ERROR gone\n",
        "Traceback (most recent call last):\n",
        "  File \"a.py\", line 1, in f\n",
        "KeyError: 1\n",
        "  said on two lines\n====\n",
        "    INFO next\n====\n",
        "      INFO   Application startup complete.\n====\n",
        "ERROR:app:gone\n",
        "Traceback (most recent call last):\n",
        "  File \"a.py\", line 1, in f\n",
        "KeyError: 1\n====\n",
        " * Restarting with stat\n====\n",
        "2026/01/31 12:00:00 http: panic serving 10.0.0.1:4: boom\n",
        "goroutine 34 [running]:\n",
        "net/http.(*conn).serve.func1()\n",
        "\t/usr/local/go/src/net/http/server.go:1868 +0xb9\n====\n",
        "  table of routes",
    ));
}

#[test]
fn traces_of_go_and_dotnet() {
    check(concat!(
        "panic: runtime error: index out of range [1] with length 1\n",
        "\n",
        "goroutine 1 [running]:\n",
        "main.(*T).run(0xc000, 0x1)\n",
        "\t/app/main.go:5 +0x1d\n",
        "\n",
        "goroutine 7 [select]:\n",
        "net/http.(*Server).Serve(...)\n",
        "\t/go/http.go:1\n",
        "created by main.main in goroutine 1\n",
        "\t/app/main.go:9 +0x1\n",
        "exit status 2\n====\n",
        "server started",
    ));
    check(concat!(
        "Unhandled exception. System.InvalidOperationException: outer\n",
        " ---> System.Exception: inner\n",
        "   at App.Inner() in /src/App.cs:line 5\n",
        "   --- End of inner exception stack trace ---\n",
        "   at App.Main()\n====\n",
        "INFO next",
    ));
}

/// The levels of the records, too.
#[track_caller]
fn check_levels(text: &str, expected: &[Level]) {
    check(text);
    let (mut grouper, mut levels) = (Grouper::default(), Vec::new());
    let mut take = |record: Grouped| levels.push(record.level);
    for body in text.lines().filter(|line| *line != "====") {
        grouper.push(line(1, Source::Stdout, body), &mut take);
    }
    grouper.finish(Source::Stdout, &mut take);
    assert_eq!(levels, expected);
}

#[test]
fn the_console_of_dotnet() {
    check_levels(
        concat!(
            "info: Microsoft.Hosting.Lifetime[14]\n",
            "      Now listening on: http://[::]:8080\n====\n",
            "fail: Microsoft.AspNetCore.Server.Kestrel[13]\n",
            "      Connection id \"0H\": An unhandled exception was thrown by the application.\n",
            "      System.InvalidOperationException: boom\n",
            "       ---> System.Exception: inner\n",
            "         at App.Inner() in /src/App.cs:line 5\n",
            "         --- End of inner exception stack trace ---\n====\n",
            "\u{1b}[41m\u{1b}[30mcrit\u{1b}[39m\u{1b}[22m\u{1b}[49m: App.Worker[0]\n",
            "      over\n====\n",
            "warn: App[-1]\n====\n",
            "     five spaces\n====\n",
            "info: retries [3]\n====\n",
            "      text of its own",
        ),
        &[Info, Error, Fatal, Warn, Unknown, Info, Unknown],
    );
}

#[test]
fn stacks_below_lines_of_go() {
    check_levels(
        concat!(
            "E0131 12:00:00.1 1 runtime.go:77] Observed a panic: \"boom\" (boom)\n",
            "goroutine 1 [running]:\n",
            "k8s.io/apimachinery/pkg/util/runtime.logPanic(0x1, 0x2)\n",
            "\t/go/pkg/mod/k8s.io/apimachinery@v0.20.0/pkg/util/runtime/runtime.go:74 +0x95\n====\n",
            "2026/01/31 12:00:00 http: panic serving 10.0.0.1:4: boom\n",
            "goroutine 34 [running]:\n",
            "net/http.(*conn).serve.func1()\n",
            "\t/usr/local/go/src/net/http/server.go:1868 +0xb9\n",
            "panic({0x1, 0x2})\n",
            "\t/usr/local/go/src/runtime/panic.go:920 +0x270\n",
            "created by net/http.(*Server).Serve in goroutine 1\n",
            "\t/usr/local/go/src/net/http/server.go:3086 +0x5cb\n====\n",
            "2026-01-31T12:00:00.1Z\tERROR\tReconciler error\t{\"controller\": \"a\", \"error\": \"boom\"}\n",
            "sigs.k8s.io/controller-runtime/pkg/internal/controller.(*Controller).reconcileHandler\n",
            "\t/go/sigs.k8s.io/controller-runtime@v0.14.6/pkg/internal/controller/controller.go:329\n",
            "main.handleError\n",
            "\t/app/main.go:5\n====\n",
            "2026-01-31T12:00:00.2Z\tINFO\tnext\t{}\n====\n",
            "2026-01-31T12:00:00.3Z\tERROR\tgone\t{}\n====\n",
            "example.org\n====\n",
            "\t/etc/hosts:5\n====\n",
            "WARN x\n",
            "main.handleError\n",
            "\t/app/main.go:5\n====\n",
            "E0131 12:00:00.1 1 panic.go:115] \"Observed a panic\" panic=\"boom\" stacktrace=<\n",
            "\tgoroutine 1 [running]:\n",
            "\tmain.main()\n",
            " >\n====\n",
            "\tat noon",
        ),
        &[Error, Error, Error, Info, Error, Unknown, Unknown, Warn, Error, Unknown],
    );
}

#[test]
fn messages_of_several_lines_of_java() {
    check(concat!(
        "2026-01-31 12:00:01 ERROR [main] c.e.App - gone\n",
        "\n",
        "org.postgresql.util.PSQLException: ERROR: duplicate key value\n",
        "  Detail: Key (id)=(1) already exists.\n",
        "\tat org.postgresql.Core.get(Core.java:3)\n",
        "Caused by: a.BException: two\n",
        "\n",
        "lines of it\n",
        "\t... 12 more\n====\n",
        "a.BException: x\n====\n",
        "text\n====\n",
        "\n====\n",
        "2026-01-31 12:00:02 INFO next\n====\n",
        "\ttext\n====\n",
        "a.BException: x\n====\n",
        "1\n====\n2\n====\n3\n====\n4\n====\n5\n====\n6\n====\n7\n====\n8\n====\n9\n====\n",
        "\tat a.B.c(B.java:1)\n====\n",
        "WARN x\n====\n",
        "\n====\n",
        "\n====\n",
        "a.BException: y",
    ));
}

#[test]
fn messages_of_several_lines_of_python() {
    check(concat!(
        "Traceback (most recent call last):\n",
        "  File \"a.py\", line 1, in f\n",
        "psycopg2.errors.UniqueViolation: duplicate key value\n",
        "DETAIL:  Key (id)=(1) already exists.\n",
        "\n",
        "\n",
        "The above exception was the direct cause of the following exception:\n",
        "\n",
        "Traceback (most recent call last):\n",
        "  File \"a.py\", line 3, in g\n",
        "sqlalchemy.exc.IntegrityError: (psycopg2.errors.UniqueViolation) duplicate key value\n",
        "DETAIL:  Key (id)=(1) already exists.\n",
        "\n",
        "[SQL: INSERT INTO a (id)\n",
        "VALUES (%(id)s)\n",
        "RETURNING a.id]\n",
        "[parameters: {'id': 1}]\n",
        "(Background on this error at: https://sqlalche.me/e/20/gkpj)\n====\n",
        "next\n====\n",
        "Traceback (most recent call last):\n",
        "  File \"a.py\", line 1, in f\n",
        "psycopg2.errors.UndefinedColumn: column \"x\" does not exist\n",
        "LINE 1: SELECT x\n",
        "               ^\n====\n",
        "\n====\n",
        "  apart\n====\n",
        "Traceback (most recent call last):\n",
        "  File \"a.py\", line 1, in f\n",
        "a.b.Refused: no\n",
        "[SQL: SELECT 1\n====\n",
        "FROM a\n====\n",
        "2026-01-31 12:00:02 INFO next",
    ));
}

#[test]
fn a_terminal_ends_lines_with_a_carriage_return() {
    let text = concat!(
        "2026-01-31 12:00:01 ERROR [main] c.e.App - gone\r\n",
        "java.lang.IllegalStateException\r\n",
        "\tat c.e.App.run(App.java:12)\r\n",
        "====\n",
        "Traceback (most recent call last):\r\n",
        "  File \"a.py\", line 1, in f\r\n",
        "KeyError\r\n",
        "\r\n",
        "During handling of the above exception, another exception occurred:\r\n",
        "\r\n",
        "Traceback (most recent call last):\r\n",
        "  File \"a.py\", line 3, in g\r\n",
        "ValueError: 2\r",
    );
    let (mut grouper, mut found) = (Grouper::default(), Vec::new());
    let mut take = |record: Grouped| found.push(String::from_utf8(record.body).expect("UTF-8"));
    for body in text.split('\n').filter(|line| *line != "====") {
        grouper.push(line(1, Source::Stdout, body), &mut take);
    }
    grouper.finish(Source::Stdout, &mut take);
    assert_eq!(found, text.split("\n====\n").collect::<Vec<_>>(), "each byte is there");
}

#[test]
fn lines_that_are_none_of_the_record_go_when_it_goes() {
    let (mut grouper, mut found) = (Grouper::default(), Vec::new());
    for (time, body) in ["a.BException: x", "text", "more"].into_iter().enumerate() {
        grouper.push(line(time as i64, Source::Stdout, body), &mut |record| found.push(record));
    }
    assert!(found.is_empty() && grouper.since() == Some(0));
    for _ in 0..QUIET_TICKS {
        grouper.tick(&mut |record| found.push(record));
    }
    assert!(!grouper.is_holding());
    let shown: Vec<_> = found.iter().map(|r| (r.time, r.level, r.body.len())).collect();
    assert_eq!(shown, [(Some(0), Error, 15), (Some(1), Unknown, 4), (Some(2), Unknown, 4)]);
}
