//! Which labels and annotations are told, and under which names.

use super::*;
use crate::series::Labels;

fn words(labels: &str, annotations: &str) -> Words {
    Words {
        labels: labels.parse().expect("a list of labels"),
        annotations: annotations.parse().expect("a list of annotations"),
    }
}

/// What is told of an object's words beside its own labels: the name, then `label=value`.
fn told(words: &Words, resource: &str, object: Json) -> Vec<String> {
    let kind = KINDS.iter().find(|kind| kind.subject.resource == resource).expect("a kind");
    let of = words.of(kind);
    let rows = match resource {
        "secrets" => of.rows(secret::tell, &read(object)),
        _ => of.rows(pod::tell, &read(object)),
    };
    let is_word = |name: &str| name.starts_with("label_") || name.starts_with("annotation_");
    let one = |row: &Labels| {
        let words = row.iter().filter(|(name, _)| is_word(name));
        let words = words.map(|(name, value)| format!("{name}={value}"));
        [row.name().to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
    };
    let of_words = |row: &Labels| row.name().ends_with("_labels") || row.name().ends_with("_annotations");
    rows.rows.iter().map(|(row, _)| row).filter(|row| of_words(row)).map(one).collect()
}

fn labelled() -> Json {
    json!({"metadata": {
        "name": "web-1", "namespace": "shop", "uid": "u1",
        "labels": {
            "app": "web", "app.kubernetes.io/partOf": "shop", "team": "a", "team-b": "b", "team_b": "c",
        },
        "annotations": {"note": "x", "kubectl.kubernetes.io/last-applied-configuration": "all of it"},
    }})
}

#[test]
fn words_are_told_that_are_asked_for() {
    for (labels, annotations, expected) in [
        ("", "", &[][..]),
        ("namespaces=[app]", "pods=[]", &[][..]),
        ("pods=[team,app,none]", "", &["kube_pod_labels label_app=web label_team=a"][..]),
        (
            "nodes=[a], pods=[ app.kubernetes.io/* ]",
            "",
            &["kube_pod_labels label_app_kubernetes_io_part_of=shop"][..],
        ),
        // Two that would have one name.
        (
            "pods=[team*]",
            "",
            &["kube_pod_labels label_team=a label_team_b_conflict1=b label_team_b_conflict2=c"][..],
        ),
        ("pods=[none]", "", &["kube_pod_labels"][..]),
        (
            "*=[app]",
            "*=[*]",
            &["kube_pod_labels label_app=web", "kube_pod_annotations annotation_note=x"][..],
        ),
    ] {
        assert_eq!(told(&words(labels, annotations), "pods", labelled()), expected, "{labels} {annotations}");
    }
}

#[test]
fn words_stand_beside_an_objects_own_labels() {
    let kind = KINDS.iter().find(|kind| kind.subject.resource == "pods").expect("a kind");
    let rows = words("pods=[app]", "").of(kind).rows(pod::tell, &read(labelled()));
    assert_eq!(
        shown(&rows, "kube_pod_labels", &["namespace", "pod", "uid", "job"]),
        ["shop web-1 u1 kube-state-metrics 1"]
    );
}

#[test]
fn abuse_29_no_copy_of_a_secret_and_nothing_long_is_told() {
    let copy = "kubectl.kubernetes.io/last-applied-configuration";
    let object = |value: &str| json!({"metadata": {"name": "s", "namespace": "shop", "annotations": {copy: "hush", "note": value}}});
    for asked in ["secrets=[*]", &format!("secrets=[{copy},note]"), "*=[*]"] {
        let found = told(&words("", asked), "secrets", object("x"));
        assert_eq!(found, ["kube_secret_annotations annotation_note=x"], "{asked}");
        let found = told(&words("", asked), "secrets", object(&"x".repeat(4097)));
        assert_eq!(found, ["kube_secret_annotations"], "{asked}");
    }
    // A series has 64 labels at most, with its own.
    let many: serde_json::Map<String, Json> = (0..100).map(|n| (format!("l{n:03}"), json!("x"))).collect();
    let object = json!({"metadata": {"name": "s", "namespace": "shop", "labels": many}});
    let kind = KINDS.iter().find(|kind| kind.subject.resource == "secrets").expect("a kind");
    let rows = words("*=[*]", "").of(kind).rows(secret::tell, &read(object));
    let (row, _) = rows.rows.iter().find(|(row, _)| row.name() == "kube_secret_labels").expect("a row");
    assert_eq!(Limits::default().check(row), Ok(()));
    assert_eq!((row.get("label_l049"), row.get("label_l050")), (Some("x"), None));
}

#[test]
fn what_is_no_list_is_refused_with_the_reason() {
    for (text, why) in [
        ("pods", "`pods` is no list such as pods=[app,team],namespaces=[*]"),
        ("pods=app", "`pods=app` is no list"),
        ("pods=[app", "is no list"),
        ("pods=[app,]", "is no list"),
        ("pods=[app] nodes=[a]", "is no list"),
        ("pods=[app],", "is no list"),
        ("pods=[app,*]", "`*` is all of them and stands first"),
        ("pods=[a*b*]", "`a*b*` has more than one `*`"),
        ("podz=[app]", "`podz` is none of the resources that are told of by their words: "),
        // Kinds of which kube-state-metrics tells no words.
        ("leases=[app]", "`leases` is none of the resources"),
    ] {
        let error = text.parse::<Allowed>().expect_err("it is refused");
        assert!(error.contains(why), "{text}: {error}");
    }
    let known = "podz=[a]".parse::<Allowed>().expect_err("it is refused");
    assert!(known.contains("configmaps") && known.contains("volumeattachments"), "{known}");
}
