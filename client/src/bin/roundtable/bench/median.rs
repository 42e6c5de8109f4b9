//! Medians over runs, figure by figure.

use serde_json::{Map, Number, Value};

use crate::bench::report::{Line, Report};

/// Of each figure the median over these reports by itself, so that figures of one line may be of different runs. Of an
/// even number of runs it is the lower of the two in the middle. A kind of operation or error that a run did not have
/// counts as zero there; a process that is not in all of them is left out.
pub(crate) fn median(reports: &[Report]) -> Option<Report> {
    let values = reports.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>().ok()?;
    let merged = merge(&values.iter().map(Some).collect::<Vec<_>>())?;
    let mut report: Report = serde_json::from_value(merged).ok()?;
    report.line = Line::Median;
    report.run = u16::try_from(reports.len()).ok()?;
    report.errors.retain(|_, count| *count > 0);
    Some(report.with_warnings())
}

/// One value out of those of all runs; each may lack it.
fn merge(values: &[Option<&Value>]) -> Option<Value> {
    Some(match values.iter().find_map(|value| *value)? {
        Value::Number(_) => Value::Number(middle(values)?),
        Value::Object(_) => {
            let objects: Vec<_> = values.iter().map(|value| value.and_then(Value::as_object)).collect();
            let mut merged = Map::new();
            for name in objects.iter().flatten().flat_map(|object| object.keys()) {
                if !merged.contains_key(name) {
                    let members: Vec<_> =
                        objects.iter().map(|object| object.and_then(|o| o.get(name))).collect();
                    merged.insert(name.clone(), merge(&members)?);
                }
            }
            Value::Object(merged)
        }
        Value::Array(first) => {
            let arrays: Vec<_> = values.iter().map(|value| value.and_then(Value::as_array)).collect();
            let in_each = |id: &Value| {
                let find = |array: &Vec<Value>| array.iter().position(|item| item.get("id") == Some(id));
                arrays.iter().map(|array| array.and_then(|a| a.get(find(a)?))).collect::<Option<Vec<_>>>()
            };
            let complete = first.iter().filter_map(|item| in_each(item.get("id")?));
            complete.filter_map(|items| merge(&items.into_iter().map(Some).collect::<Vec<_>>())).collect()
        }
        other => other.clone(),
    })
}

fn middle(values: &[Option<&Value>]) -> Option<Number> {
    let number = |value: &Option<&Value>| match value {
        Some(Value::Number(number)) => number.clone(),
        _ => Number::from(0),
    };
    let mut numbers: Vec<_> = values.iter().map(number).collect();
    numbers.sort_by(|a, b| a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0)));
    numbers.get(numbers.len().checked_sub(1)? / 2).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::tests::{measured, measured_open_loop, report};

    #[test]
    fn each_figure_is_the_median_by_itself() {
        let mut reports = [report(measured()), report(measured()), report(measured())];
        for (report, (rate, p99_us)) in reports.iter_mut().zip([(10.5, 7), (30.5, 9), (20.5, 8)]) {
            report.operations_per_second = rate;
            report.put.as_mut().unwrap().p99_us = p99_us;
            report.processes[1].used.rss_bytes = p99_us;
        }
        let median = median(&reports).unwrap();
        assert_eq!((median.operations_per_second, median.put.unwrap().p99_us), (20.5, 8));
        assert_eq!((median.line, median.run, median.processes.len()), (Line::Median, 3, 3));
        assert_eq!(median.processes[1].used.rss_bytes, 8);
        assert_eq!(median.errors["503"], 2);
    }

    #[test]
    fn what_a_run_lacks_counts_as_zero_and_its_lost_process_is_left_out() {
        let mut reports = [report(measured_open_loop(5, 10)), report(measured()), report(measured())];
        reports[0].errors.insert("504".into(), 9);
        reports[2].processes.remove(0);
        let median = median(&reports).unwrap();
        assert_eq!(median.errors.keys().collect::<Vec<_>>(), ["503"]);
        let ids: Vec<_> = median.processes.iter().map(|process| process.used.id.as_str()).collect();
        assert_eq!(ids, ["r1", "bench"]);
        assert_eq!(median.get.unwrap().count, 500);
    }

    #[test]
    fn median_of_an_even_number_is_the_lower_middle() {
        let mut reports = [report(measured()), report(measured())];
        reports[1].operations = 1;
        assert_eq!(median(&reports).unwrap().operations, 1);
    }
}
