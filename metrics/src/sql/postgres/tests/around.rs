//! What drivers and tools ask around their queries: settings, and Grafana's questions.

use super::*;

#[tokio::test]
async fn settings_are_shown_as_the_handshake_tells_them_and_as_a_client_has_set_them() {
    let served = Served::new().await;
    let asked_and_said = [
        ("show server_version_num", "160006"),
        ("show transaction isolation level", "read committed"),
        ("show standard_conforming_strings", "on"),
        ("show search_path", "public"),
        ("set datestyle = 'ISO, DMY'", "SET"),
        ("show datestyle", "ISO, DMY"),
        ("set time zone 'Asia/Tokyo'", "SET"),
        ("select current_setting('timezone')", "Asia/Tokyo"),
        ("set statement_timeout = '90s'", "SET"),
        ("show statement_timeout", "90s"),
        ("set statement_timeout to default", "SET"),
        ("show statement_timeout", "0"),
        ("reset all", "RESET"),
        ("show time zone", "UTC"),
        ("show datestyle", "ISO, YMD"),
        ("select current_setting('my.own', true) is null", "t"),
    ];
    let (asked, expected): (Vec<_>, Vec<_>) = asked_and_said.into_iter().unzip();
    assert_eq!(served.lines("admin", &asked).await, expected);
    let version = served.lines("admin", &["show server_version", r"\echo :SERVER_VERSION_NAME"]).await;
    assert!(version[0].starts_with("16.6 (Tiphys ") && version[0].starts_with(&version[1]), "{version:?}");
    for unknown in ["show nothing_such", "select current_setting('nothing_such')"] {
        let error = served.error("admin", unknown).await;
        let message = "42704: unrecognized configuration parameter \"nothing_such\"";
        assert!(error.contains(message), "{error}");
    }
    served.world.end().await;
}

#[tokio::test]
async fn rows_are_written_as_the_settings_say() {
    let served = Served::new().await;
    let date = "select date '2026-01-02'";
    let asked_and_said = [
        ("set datestyle = German", "SET"),
        (date, "02.01.2026"),
        ("set session datestyle = 'SQL, DMY'", "SET"),
        (date, "02/01/2026"),
        ("discard all", "DISCARD ALL"),
        (date, "2026-01-02"),
    ];
    let (asked, expected): (Vec<_>, Vec<_>) = asked_and_said.into_iter().unzip();
    assert_eq!(served.lines("admin", &asked).await, expected);
    let mut psql = served.psql("admin", "sslmode=require options='-c DateStyle=German'");
    psql.args(["-A", "-t", "-c", date, "-c", "reset all", "-c", date]);
    let output = psql.output().await.expect("psql is there: make setup");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "02.01.2026\nRESET\n02.01.2026\n", "{output:?}");
    let error = served.error("admin", "set intervalstyle = 'iso'").await;
    assert!(error.contains("22023: invalid value for parameter \"intervalstyle\": \"iso\""), "{error}");
    served.world.end().await;
}

#[tokio::test]
async fn a_timeout_that_was_reset_ends_nothing() {
    let served = Served::new().await;
    let late = "set statement_timeout = '1ms'";
    let counted = "select count(*) from generate_series(1, 2000000)";
    assert_eq!(served.lines("admin", &[late, "reset all", counted]).await, ["SET", "RESET", "2000000"]);
    served.world.end().await;
}

#[tokio::test]
async fn a_pool_takes_a_connection_back() {
    let served = Served::new().await;
    let release = "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;";
    let said = served.lines("admin", &[release, "select pg_advisory_unlock_all() is null"]).await;
    assert_eq!(said[said.len() - 2..], ["RESET", "t"], "{said:?}");
    served.world.end().await;
}

#[tokio::test]
async fn words_of_the_catalog_in_a_literal_change_no_answer() {
    let served = Served::new().await;
    let pods = "(select pod from pod group by pod) p";
    let counted = format!(
        "select p.pod, (select count(*) from container c where c.pod = p.pod) as n from {pods} \
         where p.pod <> 'pg_x' order by 1"
    );
    assert_eq!(served.lines("admin", &[&counted]).await, ["bank-1|3", "shop-1|3"]);
    // A cast to the catalog's numbers needs no other rule to be planned.
    assert_eq!(served.lines("admin", &["select 'pod'::regclass is not null"]).await, ["t"]);
    served.world.end().await;
}

/// Grafana's question which schemas may be left out in front of a table.
const IN_THE_PATH: &str = r#"
          quote_ident(table_schema) IN (
          SELECT
            CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END
          FROM
            generate_series(
              array_lower(string_to_array(current_setting('search_path'),','),1),
              array_upper(string_to_array(current_setting('search_path'),','),1)
            ) as i,
            string_to_array(current_setting('search_path'),',') s
          )"#;

fn tables_for_grafana() -> String {
    format!(
        r#"SELECT
    CASE WHEN {IN_THE_PATH}
      THEN quote_ident(table_name)
      ELSE quote_ident(table_schema) || '.' || quote_ident(table_name)
    END AS "table"
    FROM information_schema.tables
    WHERE quote_ident(table_schema) NOT IN ('information_schema',
                             'pg_catalog',
                             '_timescaledb_cache',
                             '_timescaledb_catalog',
                             '_timescaledb_internal',
                             '_timescaledb_config',
                             'timescaledb_information',
                             'timescaledb_experimental')
    ORDER BY CASE WHEN {IN_THE_PATH} THEN 0 ELSE 1 END, 1"#
    )
}

fn columns_for_grafana(table: &str) -> String {
    format!(
        r#"SELECT quote_ident(column_name) AS "column", data_type AS "type"
    FROM information_schema.columns
    WHERE
      CASE WHEN array_length(parse_ident('{table}'),1) = 2
        THEN quote_ident(table_schema) = (parse_ident('{table}'))[1]
          AND quote_ident(table_name) = (parse_ident('{table}'))[2]
        ELSE quote_ident(table_name) = '{table}'
          AND {IN_THE_PATH}
      END"#
    )
}

#[tokio::test]
async fn grafanas_questions_are_answered() {
    let served = Served::new().await;
    let version = "SELECT current_setting('server_version_num')::int/100 as version";
    assert_eq!(served.lines("admin", &[version]).await, ["1600"]);
    let timescale = "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'";
    assert!(served.lines("admin", &[timescale]).await.is_empty());
    let tables = served.lines("admin", &[&tables_for_grafana()]).await;
    for table in ["container", "decisions", "node", "pod"] {
        assert!(tables.iter().any(|listed| listed == table), "{table} is not in {tables:?}");
    }
    assert!(tables.is_sorted() && tables.iter().all(|table| !table.contains('.')), "{tables:?}");
    let columns = served.lines("admin", &[&columns_for_grafana("pod")]).await;
    assert!(columns.iter().any(|column| column.starts_with("cpu_cores|")), "{columns:?}");
    assert_eq!(served.lines("admin", &[&columns_for_grafana("public.pod")]).await, columns);
    let schemas = "SELECT schema_name AS \"name\" FROM information_schema.schemata \
         WHERE schema_name NOT IN ('information_schema', 'pg_catalog', 'pg_toast') ORDER BY schema_name";
    assert_eq!(served.lines("admin", &[schemas]).await, ["public"]);
    served.world.end().await;
}
