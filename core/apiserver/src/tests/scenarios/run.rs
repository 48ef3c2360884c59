//! Steps against a server, one after the other.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use http::Method;
use serde_json::Value;

use super::{
    matching::{matches, missing},
    step::Step,
};
use crate::tests::harness::{Answer, Harness, LIMIT, Watching};

pub struct Run<'a> {
    api: &'a Harness,
    kept: BTreeMap<String, String>,
    watches: BTreeMap<String, Watching>,
}

impl<'a> Run<'a> {
    pub fn new(api: &'a Harness, namespace: &str) -> Self {
        let kept = BTreeMap::from([("ns".to_owned(), namespace.to_owned())]);
        Self { api, kept, watches: BTreeMap::new() }
    }

    /// # Errors
    /// Which step does not hold, and what came instead.
    pub async fn all(&mut self, steps: &[Step]) -> Result<(), String> {
        for (index, step) in steps.iter().enumerate() {
            let number = index + 1;
            self.one(step).await.map_err(|why| format!("step {number}: {why}"))?;
        }
        Ok(())
    }

    async fn one(&mut self, step: &Step) -> Result<(), String> {
        if !step.watch.is_empty() {
            let watch = self.api.watch(&self.path(&step.watch)).await;
            self.watches.insert(step.name.clone(), watch);
            return Ok(());
        }
        if !step.from.is_empty() {
            return self.events(step).await;
        }
        if !step.eventually {
            let answer = self.ask(step).await?;
            return self.judge(step, &answer);
        }
        let began = Instant::now();
        loop {
            let answer = self.ask(step).await?;
            match self.judge(step, &answer) {
                Ok(()) => return Ok(()),
                Err(why) if began.elapsed() > LIMIT => {
                    return Err(format!("it did not come to be so: {why}"));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    async fn events(&mut self, step: &Step) -> Result<(), String> {
        for event in &step.events {
            let wanted = self.filled(event);
            let watch = self.watches.get_mut(&step.from).ok_or("there is no such watch")?;
            let found = watch.next().await.ok_or_else(|| format!("wanted {wanted}, the watch ended"))?;
            if let Some(why) = missing(&wanted, &found, "") {
                return Err(format!("{why}\nin {found}"));
            }
        }
        if let Some(wanted) = step.until.as_ref().map(|wanted| self.filled(wanted)) {
            let watch = self.watches.get_mut(&step.from).ok_or("there is no such watch")?;
            loop {
                let found = watch.next().await.ok_or_else(|| format!("{wanted} did not come"))?;
                if missing(&wanted, &found, "").is_none() {
                    break;
                }
            }
        }
        if step.ends {
            let watch = self.watches.get_mut(&step.from).ok_or("there is no such watch")?;
            if let Some(more) = watch.next().await {
                return Err(format!("the watch goes on: {more}"));
            }
        }
        Ok(())
    }

    async fn ask(&self, step: &Step) -> Result<Answer, String> {
        let request = self.text(&step.request);
        let (method, path) = request.split_once(' ').ok_or("a request is a method and a path")?;
        let method: Method = method.parse().map_err(|_| format!("{method} is no method"))?;
        let body = match (&step.text, &step.body) {
            (Some(text), _) => self.text(text),
            (None, Some(body)) => self.filled(body).to_string(),
            (None, None) => String::new(),
        };
        let media = match step.media.as_deref() {
            None if body.is_empty() => String::new(),
            None => "application/json".into(),
            Some("apply") => "application/apply-patch+yaml".into(),
            Some("strategic") => "application/strategic-merge-patch+json".into(),
            Some(kind @ ("json" | "merge")) => format!("application/{kind}-patch+json"),
            Some(media) => media.into(),
        };
        let accept = step.accept.as_deref().unwrap_or_default();
        Ok(self.api.call(method, &self.path(path), &media, accept, body).await)
    }

    fn judge(&mut self, step: &Step, answer: &Answer) -> Result<(), String> {
        let told = |why: String| Err(format!("{}: {why}\nin {} {}", step.request, answer.code, answer.text));
        let code = step.status.unwrap_or(200);
        if answer.code != code {
            return told(format!("wanted {code}"));
        }
        for pattern in &step.shows {
            if !matches(&self.text(pattern), &answer.text) {
                return told(format!("it does not show {pattern}"));
            }
        }
        let all: Vec<_> = answer.headers.get_all("warning").iter().collect();
        let warnings: Vec<_> = all.iter().filter_map(|value| value.to_str().ok()).collect();
        if let Some(wanted) = &step.warnings {
            let fit = wanted.iter().zip(&warnings).all(|(pattern, warning)| matches(pattern, warning));
            if !fit || wanted.len() != warnings.len() {
                return told(format!("it warns {warnings:?}"));
            }
        }
        for (name, pattern) in &step.headers {
            let value = answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            if !matches(pattern, value) {
                return told(format!("the header {name} is {value:?}"));
            }
        }
        match self.about_json(step, answer) {
            Ok(()) => Ok(()),
            Err(why) => told(why),
        }
    }

    fn about_json(&mut self, step: &Step, answer: &Answer) -> Result<(), String> {
        let asks = step.has.is_some() || step.reason.is_some() || step.message.is_some();
        if !asks && step.lacks.is_empty() && step.keep.is_empty() {
            return Ok(());
        }
        let found: Value = serde_json::from_str(&answer.text).map_err(|_| "it is no JSON")?;
        if let Some(reason) = &step.reason
            && found["reason"] != *reason
        {
            return Err(format!("wanted the reason {reason}"));
        }
        if let Some(pattern) = &step.message
            && !matches(&self.text(pattern), found["message"].as_str().unwrap_or_default())
        {
            return Err(format!("its message is not {pattern}"));
        }
        if let Some(why) = step.has.as_ref().and_then(|wanted| missing(&self.filled(wanted), &found, "")) {
            return Err(why);
        }
        if let Some(there) = step.lacks.iter().find(|pointer| found.pointer(pointer).is_some()) {
            return Err(format!("there is {there}"));
        }
        for (name, pointer) in &step.keep {
            let part = found.pointer(pointer).ok_or_else(|| format!("there is no {pointer} to keep"))?;
            let text = part.as_str().map_or_else(|| part.to_string(), String::from);
            self.kept.insert(name.clone(), text);
        }
        Ok(())
    }

    fn path(&self, path: &str) -> String {
        let path = self.text(path);
        match path.starts_with('/') {
            true => path,
            false => format!("/api/v1/namespaces/{}/{path}", self.kept["ns"]),
        }
    }

    /// With what was kept in the place of its names.
    fn text(&self, text: &str) -> String {
        let named =
            |text: String, (name, value): (&String, &String)| text.replace(&format!("${{{name}}}"), value);
        self.kept.iter().fold(text.to_owned(), named)
    }

    fn filled(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.text(text).into(),
            Value::Array(items) => items.iter().map(|item| self.filled(item)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(key, value)| (self.text(key), self.filled(value))).collect()
            }
            other => other.clone(),
        }
    }
}
