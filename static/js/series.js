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

function share(group, probe) {
  let good = 0
  let total = 0
  for (const interval of group) {
    good += interval.probes?.[probe]?.good ?? 0
    total += interval.probes?.[probe]?.total ?? 0
  }
  return total ? (good / total) * 100 : null
}

function lowestShare(group, probe) {
  const shares = present(group.map((interval) => share([interval], probe)))
  return shares.length ? Math.min(...shares) : null
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
    const width = known.reduce((sum, interval) => sum + interval.width, 0)
    return known.reduce((sum, interval) => sum + (interval.ops[kind] ?? 0), 0) / width
  })
}

export const probesOf = (intervals) => [...new Set(intervals.flatMap((i) => Object.keys(i.probes ?? {})))]
