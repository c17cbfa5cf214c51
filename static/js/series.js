// Intervals -> columns to draw: at most LIMIT points a trace, and the peaks are kept.

export const LIMIT = 1000

const worst = (values) => (values.length ? Math.max(...values) : null)

function grouped(intervals) {
  // one point is kept for the right edge of the last step
  const size = Math.max(1, Math.ceil(intervals.length / (LIMIT - 1)))
  const groups = []
  for (let i = 0; i < intervals.length; i += size) groups.push(intervals.slice(i, i + size))
  return groups
}

const present = (values) => values.filter((value) => value !== null && value !== undefined)

/** Steps: each value holds from its time to the next; the last one is repeated at its end. */
function steps(groups, value) {
  const x = groups.map((group) => group[0].t)
  const y = groups.map(value)
  const last = groups.at(-1)?.at(-1)
  if (last) {
    x.push(last.t + last.width)
    y.push(y.at(-1))
  }
  return { x, y }
}

/** The lowest share of good answers in it, from 0 to 1; null where nothing was asked. */
const low = (probe) => probe?.low ?? (probe?.total ? probe.good / probe.total : null)

function lowestShare(group, probe) {
  const shares = present(group.map((interval) => low(interval.probes?.[probe])))
  return shares.length ? Math.min(...shares) * 100 : null
}

function mergedProbe(a, b) {
  const either = (key, choose) => {
    const values = present([a?.[key], b?.[key]])
    return values.length ? choose(...values) : null
  }
  const worse = { p50: either('p50', Math.max), p99: either('p99', Math.max), max: either('max', Math.max) }
  const lows = present([low(a), low(b)])
  const sum = (key) => (a?.[key] ?? 0) + (b?.[key] ?? 0)
  return { good: sum('good'), total: sum('total'), ...worse, low: lows.length ? Math.min(...lows) : null }
}

/** Failures a second at their worst, also where a merged interval was calmer on the whole. */
const most = ({ ops, width }, kind) => ops?.most?.[kind] ?? (ops?.[kind] ?? 0) / width

function mergedOperations(a, b) {
  if (!a.ops || !b.ops) return a.ops ?? b.ops ?? null
  const sums = Object.fromEntries(['ok', 'fail', 'info'].map((kind) => [kind, (a.ops[kind] ?? 0) + (b.ops[kind] ?? 0)]))
  return { ...sums, most: { fail: Math.max(most(a, 'fail'), most(b, 'fail')), info: Math.max(most(a, 'info'), most(b, 'info')) } }
}

/** Two intervals that follow each other as one, with the worst of both. */
function merged(a, b) {
  const names = new Set([...Object.keys(a.probes ?? {}), ...Object.keys(b.probes ?? {})])
  const probes = Object.fromEntries([...names].map((name) => [name, mergedProbe(a.probes?.[name], b.probes?.[name])]))
  return { t: a.t, width: b.t + b.width - a.t, probes, ops: mergedOperations(a, b) }
}

/** What is kept of a long run in the page: its newest part as it was told, the older in pairs. */
export function thinned(intervals) {
  const older = intervals.length - LIMIT
  if (older < LIMIT) return intervals
  const pairs = []
  for (let i = 0; i + 1 < older; i += 2) pairs.push(merged(intervals[i], intervals[i + 1]))
  return [...pairs, ...intervals.slice(older - (older % 2))]
}

export function availability(intervals, probe) {
  return steps(grouped(intervals), (group) => lowestShare(group, probe))
}

export function latency(intervals, probe, quantile) {
  return steps(grouped(intervals), (group) => {
    const values = present(group.map((interval) => interval.probes?.[probe]?.[quantile]))
    return values.length ? worst(values) * 1e3 : null
  })
}

export function operations(intervals, kind) {
  return steps(grouped(intervals), (group) => {
    const known = group.filter((interval) => interval.ops)
    if (!known.length) return null
    if (kind !== 'ok') return Math.max(...known.map((interval) => most(interval, kind)))
    const width = known.reduce((sum, interval) => sum + interval.width, 0)
    return known.reduce((sum, interval) => sum + (interval.ops[kind] ?? 0), 0) / width
  })
}

export const probesOf = (intervals) => [...new Set(intervals.flatMap((i) => Object.keys(i.probes ?? {})))]
