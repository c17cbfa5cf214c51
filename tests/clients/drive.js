// Drives a link proxy through every call that toxiproxy-node-client has: node drive.js API UPSTREAM
const assert = require("node:assert/strict");
const net = require("node:net");
const { Toxiproxy, ToxiproxyError } = require("toxiproxy-node-client");

const TOXICS = {
  latency: { latency: 100, jitter: 10 },
  bandwidth: { rate: 100 },
  slow_close: { delay: 10 },
  timeout: { timeout: 1000 },
  reset_peer: { timeout: 1000 },
  slicer: { average_size: 10, size_variation: 1, delay: 1 },
  limit_data: { bytes: 100 },
};

function roundTrip(listen) {
  const [host, port] = listen.split(":");
  return new Promise((resolve, reject) => {
    const start = Date.now();
    const one = net.connect(Number(port), host, () => one.write("hello"));
    one.on("data", () => { one.destroy(); resolve(Date.now() - start); });
    one.on("error", reject);
    one.on("close", () => reject(new Error("closed")));
  });
}

async function main([api, upstream]) {
  const toxiproxy = new Toxiproxy(api);
  assert.match(await toxiproxy.getVersion(), /"version"/);

  const proxy = await toxiproxy.createProxy({ name: "node", listen: "127.0.0.1:0", upstream });
  assert.deepEqual((await toxiproxy.get("node")).toJson(), proxy.toJson());
  assert.deepEqual(Object.keys(await toxiproxy.getAll()), ["node"]);
  await roundTrip(proxy.listen);

  for (const [type, attributes] of Object.entries(TOXICS)) {
    for (const stream of ["upstream", "downstream"]) {
      const made = await proxy.addToxic({ name: "it", type, stream, toxicity: 1, attributes });
      assert.deepEqual(made.toJson(), { name: "it", type, stream, toxicity: 1, attributes });
      const changed = await made.update({ ...made.toJson(), toxicity: 0.5 });
      assert.equal(changed.toxicity, 0.5);
      assert.deepEqual((await proxy.getToxic("it")).toJson(), changed.toJson());
      await changed.remove();
    }
  }
  await assert.rejects(proxy.getToxic("it"), ToxiproxyError);

  await proxy.addToxic({ name: "slow", type: "latency", stream: "downstream", toxicity: 1, attributes: { latency: 100, jitter: 0 } });
  assert.ok(await roundTrip(proxy.listen) >= 100);
  await toxiproxy.reset();
  assert.ok(await roundTrip(proxy.listen) < 100);

  const down = await proxy.update({ enabled: false, listen: proxy.listen, upstream });
  assert.equal(down.enabled, false);
  await assert.rejects(roundTrip(proxy.listen));
  await toxiproxy.reset();
  await roundTrip(proxy.listen);

  const two = await toxiproxy.populate([{ name: "a", listen: "127.0.0.1:0", upstream }, { name: "b", listen: "127.0.0.1:0", upstream }]);
  assert.deepEqual(Object.keys(two), ["a", "b"]);
  for (const one of Object.values(await toxiproxy.getAll())) await one.remove();
  assert.deepEqual(await toxiproxy.getAll(), {});
  console.log("every call was answered");
}

main(process.argv.slice(2)).catch((error) => { console.error(error); process.exit(1); });
