// Statements to begin with.

export const EXAMPLES = [
  { name: "Pods by node", sql: "select node, count(distinct pod) as pods, round(avg(cpu_cores), 4) as cpu_cores\nfrom pod\nwhere time >= $from and time < $to\ngroup by node\norder by node" },
  { name: "CPU of nodes over time", sql: "select date_bin(interval '15 seconds', time) as time, node, avg(cpu_cores) as cpu_cores\nfrom node\nwhere time >= $from and time < $to\ngroup by 1, 2\norder by 1" },
  { name: "Containers by memory", sql: "select namespace, pod, container, max(memory_working_set_bytes) as bytes\nfrom container\nwhere time >= $from and time < $to\ngroup by 1, 2, 3\norder by bytes desc\nlimit 20" },
  { name: "Who writes to disk", sql: "select namespace, pod, max(disk_write_bytes_total) as written_bytes\nfrom container\ngroup by 1, 2\norder by written_bytes desc\nlimit 20" },
  { name: "Decisions of the autoscaler", sql: "select time, namespace, autoscaler, current_replicas, desired_replicas, reason\nfrom decisions\norder by time desc\nlimit 100" },
  { name: "Errors in the logs over time", sql: "select date_bin(interval '1 minute', time) as time, namespace, count(*) as errors\nfrom logs\nwhere time >= $from and time < $to and severity >= 5\ngroup by 1, 2\norder by 1" },
  { name: "Log lines of a query", sql: "select time, namespace, pod, level, body\nfrom logs\nwhere time >= $from and time < $to and match(body, 'timeout OR \"connection reset\"')\norder by time desc\nlimit 100" },
  { name: "All tables and columns", sql: "select * from columns" },
];
