import { NodeFileSystem } from "@effect/platform-node-shared"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, FileSystem, Layer, Redacted, Schedule, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { spawn } from "node:child_process"
import { resolve } from "node:path"
import { DatabaseSync } from "node:sqlite"
import {
  Event,
  EventSink,
  Extension,
  Interceptor,
  Pipeline,
  Snapshot,
  Stage,
  StageContext,
  StageOutput
} from "stageflow"
import { Subpipeline } from "stageflow/control"
import * as Interceptors from "stageflow/interceptors"
import { RunLog, RunRecord } from "stageflow/observability"
import { Sqlite } from "stageflow/sqlite"
import { temporaryFolder } from "../support/temporary-folder.ts"
import { numbers } from "./support/events.ts"

class Broken extends Error {
  readonly isBroken = true
}

class Busy extends Schema.TaggedError<Busy>()("Busy", { load: Schema.Int }) {
  override get message() {
    return `Load ${this.load}`
  }
}

const child = Pipeline.make("child").transform("shout", { run: Effect.succeed({ text: "HELLO" }) })

const pipeline = Pipeline.make("greeting")
  .enrich("name", { run: Effect.succeed({ name: "Ada" }) })
  .transform("at", { output: Schema.Struct({ at: Schema.Date }), run: Effect.succeed({ at: new Date(0) }) })
  .enrich("nothing", { run: StageOutput.skip("nothing to do") })
  .transform("greet", { inputs: ["name"], run: ({ name: { name } }) => Effect.succeed({ text: `Hello ${name}!` }) })
  .add(Subpipeline.stage("sub", child), { after: ["greet"] })

const failing = Pipeline.make("failing").add(
  Stage.work("busy", { error: Busy, run: Effect.fail(new Busy({ load: 3 })) }).pipe(
    Stage.retry({ schedule: Schedule.recurs(1) })
  )
)

const stores: ReadonlyArray<readonly [string, (settings?: RunLog.Settings) => Layer.Layer<RunLog.RunLog, unknown>]> = [
  ["memory", (settings) => RunLog.layerMemory(settings)],
  [
    "files",
    (settings) =>
      Layer.unwrap(Effect.map(temporaryFolder, (folder) => RunLog.layerFile(folder, settings))).pipe(
        Layer.provide(NodeFileSystem.layer)
      )
  ],
  [
    "SQLite",
    (settings) =>
      RunLog.layerSql(settings).pipe(
        Layer.provide(
          Layer.unwrap(Effect.map(temporaryFolder, (folder) => Sqlite.layer({ filename: `${folder}/runs.db` })))
        )
      )
  ]
]

class Thing {
  readonly made = true
}

const stageOf = (run: RunRecord.RunRecord, name: string): RunRecord.RecordedStage => {
  const stage = run.stages.find((stage) => stage.name === name)
  assert.isDefined(stage)
  return stage
}

for (const [store, layer] of stores) {
  describe(`RunLog in ${store}`, () => {
    it.effect("keeps snapshot, wiring, inputs, outputs, attempts, events and the runs of stages", () =>
      Effect.gen(function*() {
        yield* Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "run", userId: "ada", inputText: "Hi" })).pipe(
          Effect.provideService(RunLog.Tags, ["nightly"])
        )
        const run = yield* RunLog.get("run")
        assert.strictEqual(run.status, "completed")
        assert.strictEqual(run.userId, "ada")
        assert.deepStrictEqual(run.tags, ["nightly"])
        assert.isUndefined(run.missing)
        assert.deepStrictEqual(
          run.stages.map(({ after, kind, name, status }) => [name, kind, after, status]),
          [
            ["name", "enrich", [], "ok"],
            ["at", "transform", [], "ok"],
            ["nothing", "enrich", [], "skipped"],
            ["greet", "transform", ["name"], "ok"],
            ["sub", "transform", ["greet"], "ok"]
          ]
        )
        const greet = stageOf(run, "greet")
        assert.deepStrictEqual(greet.input, { _tag: "Kept", json: { name: { name: "Ada" } } })
        assert.strictEqual(greet.attempts.length, 1)
        assert.isTrue(greet.output._tag === "Kept")
        assert.deepInclude(greet.output._tag === "Kept" ? greet.output.json : null, { data: { text: "Hello Ada!" } })
        const [inner] = stageOf(run, "sub").runs
        assert.strictEqual(inner?.pipeline, "child")
        assert.strictEqual(inner?.parentRunId, "run")
        assert.strictEqual(inner?.status, "completed")
        assert.isTrue(run.snapshot._tag === "Kept")
        assert.strictEqual(run.events.length, run.events.at(-1)?.sequence)
        const json = yield* Schema.encodeEffect(RunRecord.RunRecord)(run)
        const back = yield* Schema.decodeUnknownEffect(RunRecord.RunRecord)(JSON.parse(JSON.stringify(json)))
        assert.deepStrictEqual(back, run)
      }).pipe(Effect.provide(layer())))

    it.effect("gives what the stages gave, as values of their types", () =>
      Effect.gen(function*() {
        yield* Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "run" }))
        const outputs = yield* RunLog.outputs(pipeline, "run")
        assert.deepStrictEqual(outputs.at?.data.at, new Date(0))
        assert.strictEqual(outputs.nothing?._tag, "Skip")
      }).pipe(Effect.provide(layer())))

    it.effect("keeps why a run failed: the typed error, the attempts, and what a developer reads", () =>
      Effect.gen(function*() {
        yield* Effect.exit(Pipeline.run(failing, Snapshot.make({ pipelineRunId: "run" })))
        const run = yield* RunLog.get("run")
        assert.strictEqual(run.status, "failed")
        assert.strictEqual(run.by, "busy")
        const busy = stageOf(run, "busy")
        assert.strictEqual(busy.status, "failed")
        assert.strictEqual(busy.attempts.length, 2)
        assert.deepStrictEqual(busy.attempts.map(({ error }) => error?.message), ["Load 3", "Load 3"])
        assert.deepStrictEqual(busy.failure, {
          _tag: "Kept",
          json: { as: "Typed", value: { _tag: "Busy", load: 3 } }
        })
        assert.include(busy.explanation ?? "", "load: 3")
      }).pipe(Effect.provide(layer())))

    it.effect("lists runs by what they are, the newest first, in pages", () =>
      Effect.gen(function*() {
        for (const [index, id] of ["a", "b", "c", "d"].entries()) {
          yield* Pipeline.run(
            pipeline,
            Snapshot.make({ pipelineRunId: id, userId: id === "b" ? "bob" : "ada", orgId: "x" })
          ).pipe(
            Effect.provideService(RunLog.Tags, index % 2 === 0 ? ["even", "100%"] : ["odd"])
          )
          yield* TestClock.adjust("1 second")
        }
        const ids = (query: RunLog.Query) =>
          Effect.map(RunLog.list(query), ({ runs }) => runs.map(({ runId }) => runId))
        assert.deepStrictEqual(yield* ids({ roots: true }), ["d", "c", "b", "a"])
        assert.deepStrictEqual(yield* ids({ pipeline: "greeting", userId: "ada" }), ["d", "c", "a"])
        assert.deepStrictEqual(yield* ids({ roots: true, tag: "odd" }), ["d", "b"])
        assert.deepStrictEqual(yield* ids({ roots: true, tag: "100_" }), [])
        assert.deepStrictEqual(yield* ids({ roots: true, from: 1000, to: 3000 }), ["c", "b"])
        assert.deepStrictEqual(yield* ids({ status: "failed" }), [])
        assert.strictEqual((yield* ids({ pipeline: "child" })).length, 4)
        const first = yield* RunLog.list({ roots: true, limit: 3 })
        assert.deepStrictEqual(first.runs.map(({ runId }) => runId), ["d", "c", "b"])
        const second = yield* RunLog.list({ roots: true, limit: 3, after: first.next })
        assert.deepStrictEqual(second.runs.map(({ runId }) => runId), ["a"])
        assert.isUndefined(second.next)
        const error = yield* Effect.flip(RunLog.list({ after: "nonsense" }))
        assert.strictEqual(error._tag, "CursorInvalid")
      }).pipe(Effect.provide(layer())))

    it.effect("says which run was most likely meant", () =>
      Effect.gen(function*() {
        yield* Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "0b9f-4711" }))
        const error = yield* Effect.flip(RunLog.get("0b9f"))
        assert.strictEqual(error.message, `No run "0b9f" is in the run log. Did you mean "0b9f-4711"?`)
      }).pipe(Effect.provide(layer())))

    it.effect("the same run id twice is two runs; the last is the one that is read", () =>
      Effect.gen(function*() {
        yield* Effect.exit(Pipeline.run(failing, Snapshot.make({ pipelineRunId: "run" })))
        yield* TestClock.adjust("1 second")
        yield* Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "run" }))
        assert.strictEqual((yield* RunLog.get("run")).status, "completed")
        assert.strictEqual((yield* RunLog.list({ roots: true })).runs.length, 2)
      }).pipe(Effect.provide(layer())))

    it.effect("forgets whole trees by age and by count", () =>
      Effect.gen(function*() {
        for (const id of ["a", "b", "c"]) {
          yield* Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: id }))
          yield* RunLog.list()
          yield* TestClock.adjust("2 minutes")
        }
        yield* Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "d" }))
        const { runs } = yield* RunLog.list()
        assert.deepStrictEqual(runs.filter((run) => run.parentRunId === undefined).map(({ runId }) => runId), [
          "d",
          "c"
        ])
        assert.strictEqual(runs.length, 4)
      }).pipe(Effect.provide(layer({ retention: { maxRuns: 2, maxAge: "1 day" } }))))

    it.effect("of runs that are not in the sample, those are kept that did not complete", () =>
      Effect.gen(function*() {
        yield* Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "fine" }))
        yield* Effect.exit(Pipeline.run(failing, Snapshot.make({ pipelineRunId: "bad" })))
        const { runs } = yield* RunLog.list()
        assert.deepStrictEqual(runs.map(({ runId }) => runId), ["bad"])
        assert.isUndefined((yield* RunLog.get("bad")).missing)
      }).pipe(Effect.provide(layer({ keep: 0 }))))

    it.effect("a Redacted is kept nowhere, at any depth", () =>
      Effect.gen(function*() {
        class Keys
          extends Extension.make<Keys>()("keys", Schema.Struct({ api: Schema.RedactedFromValue(Schema.String) }))
        {}
        const Secret = Schema.Struct({ deep: Schema.Array(Schema.RedactedFromValue(Schema.String)) })
        class Leak extends Schema.TaggedError<Leak>()("Leak", { token: Schema.RedactedFromValue(Schema.String) }) {}
        const secret = Redacted.make("hunter2")
        const leaking = Pipeline.make("leaking", { input: Secret })
          .transform("out", { inputs: ["input"], output: Secret, run: ({ input }) => Effect.succeed(input) })
          .work("say", {
            inputs: ["out"],
            run: ({ out }) =>
              Effect.andThen(StageContext.emit("secret", out), StageContext.addArtifact({ type: "a", payload: out }))
          })
          .work("fail", { after: ["say"], error: Leak, run: Effect.fail(new Leak({ token: secret })) })
        const snapshot = Snapshot.make({ pipelineRunId: "run", input: { deep: [secret] } }).pipe(
          Snapshot.extend(Keys, { api: secret })
        )
        yield* Effect.exit(Pipeline.run(leaking, snapshot))
        const run = yield* RunLog.get("run")
        assert.notInclude(JSON.stringify(run), "hunter2")
        assert.deepStrictEqual(stageOf(run, "out").output, {
          _tag: "Kept",
          json: { _tag: "Ok", data: { deep: ["<redacted>"] } },
          redacted: ["/data/deep/0"]
        })
        const error = yield* Effect.flip(RunLog.outputs(leaking, "run"))
        assert.strictEqual(error._tag, "OutputsNotKept")
      }).pipe(Effect.provide(layer())))
  })
}

for (const [store, layer] of stores) {
  describe(`RunLog in ${store}, of what is odd`, () => {
    it.effect("a Redacted that no mask can stand for is kept with nothing around it", () =>
      Effect.gen(function*() {
        const secret = Redacted.make("hunter2")
        const hidden = Pipeline.make("hidden")
          .transform("key", { run: Effect.sync(() => ({ map: new Map([[secret, 1]]) })) })
          .transform("symbol", { run: Effect.sync(() => ({ in: Object.assign({}, { [Symbol("s")]: secret }) })) })
        yield* Pipeline.run(hidden, Snapshot.make({ pipelineRunId: "run" }))
        const run = yield* RunLog.get("run")
        assert.deepInclude(stageOf(run, "key").output, { redacted: ["/data/map/<redacted>"] })
        assert.deepInclude(stageOf(run, "symbol").output, { _tag: "NotKept", reason: "redacted" })
        assert.strictEqual((yield* Effect.flip(RunLog.outputs(hidden, "run")))._tag, "OutputsNotKept")
      }).pipe(Effect.provide(layer())))

    it.effect("a run that timed out or was denied is listed as that", () =>
      Effect.gen(function*() {
        const late = Pipeline.make("late").work("s", { run: Effect.never }).pipe(
          Pipeline.intercept(Interceptors.deadline("1 second"))
        )
        const denied = Pipeline.make("denied").work("s", { run: Effect.void }).pipe(
          Pipeline.intercept(Interceptor.make({
            name: "no",
            aroundRun: () => Effect.fail(new Busy({ load: 1 }))
          }))
        )
        const running = yield* Effect.forkChild(
          Effect.exit(Pipeline.run(late, Snapshot.make({ pipelineRunId: "late" })))
        )
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(running)
        yield* Effect.exit(Pipeline.run(denied, Snapshot.make({ pipelineRunId: "denied" })))
        for (const status of ["timed_out", "denied"] as const) {
          assert.lengthOf((yield* RunLog.list({ status })).runs, 1, status)
        }
        assert.strictEqual((yield* RunLog.get("late")).status, "timed_out")
      }).pipe(Effect.provide(layer())))

    it.effect("tags that are none, and a clock that is none, concern their own run alone", () =>
      Effect.gen(function*() {
        const run = (id: string) => Pipeline.run(child, Snapshot.make({ pipelineRunId: id }))
        for (const [index, tags] of [[undefined], [1, "right"], "abc", null].entries()) {
          yield* Effect.provideService(run(`odd-${index}`), RunLog.Tags, tags as never)
        }
        yield* Effect.provideService(run("odd-4"), RunLog.ReplayOf, 5 as never)
        const clock = yield* Clock.Clock
        yield* Effect.provideService(run("odd-5"), Clock.Clock, {
          ...clock,
          currentTimeMillisUnsafe: () => Number.NaN,
          currentTimeMillis: Effect.succeed(Number.NaN)
        })
        yield* run("right")
        const { runs } = yield* RunLog.list()
        assert.lengthOf(runs, 7)
        assert.lengthOf((yield* RunLog.list({ tag: "right" })).runs, 1)
        assert.strictEqual((yield* RunLog.get("right")).status, "completed")
        const others = (yield* RunLog.damages).filter(({ where }) => where !== "odd-5")
        assert.deepStrictEqual(others, [])
      }).pipe(Effect.provide(layer())))

    it.effect("ids that differ in halves of letters only are not mixed", () =>
      Effect.gen(function*() {
        const ids = ["\ud800", "\udc00", "\ufffd", "\u0000", "\ufdd00000", "__proto__"]
        for (const id of ids) {
          yield* Pipeline.run(child, Snapshot.make({ pipelineRunId: `run${id}`, userId: `u${id}`, orgId: `o${id}` }))
            .pipe(
              Effect.provideService(RunLog.Tags, [`t${id}`])
            )
        }
        for (const id of ids) {
          for (const query of [{ userId: `u${id}` }, { orgId: `o${id}` }, { tag: `t${id}` }]) {
            assert.deepStrictEqual((yield* RunLog.list(query)).runs.map(({ runId }) => runId), [`run${id}`])
          }
          assert.strictEqual((yield* RunLog.get(`run${id}`)).userId, `u${id}`)
        }
      }).pipe(Effect.provide(layer())))

    it.effect("what stages gave is refused where the end of one found no room", () =>
      Effect.gen(function*() {
        const bursting = Pipeline.make("bursting")
          .work("burst", { run: Effect.forEach(numbers(1, 50), (n) => StageContext.emit("n", n), { discard: true }) })
          .work("rest", { after: ["burst"], run: Effect.sleep("5 seconds") })
        const running = yield* Effect.forkChild(Pipeline.run(bursting, Snapshot.make({ pipelineRunId: "run" })))
        yield* TestClock.adjust("2 seconds")
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.join(running)
        const run = yield* RunLog.get("run")
        assert.strictEqual(run.status, "completed")
        assert.isAbove(run.missing ?? 0, 0)
        const refused = yield* Effect.flip(RunLog.outputs(bursting, "run"))
        assert(refused._tag === "OutputsNotKept")
        assert.deepStrictEqual(refused.problems, [{ stage: "burst", reason: "how it ended was not kept" }])
      }).pipe(Effect.provide(layer({ buffer: { capacity: 20 } }))))

    it.effect("a list knows of the ends that found no room", () =>
      Effect.gen(function*() {
        yield* Effect.forEach(
          numbers(1, 20),
          (id) => Pipeline.run(child, Snapshot.make({ pipelineRunId: `run-${id}` })),
          { concurrency: "unbounded" }
        )
        const { runs } = yield* RunLog.list()
        assert.lengthOf(runs, 20)
        assert.deepStrictEqual(new Set(runs.map(({ status }) => status)), new Set(["completed"]))
      }).pipe(Effect.provide(layer({ buffer: { capacity: 10 } }))))

    it.effect("a policy reaches the cause of an error, and the reason of a skip wherever it is", () =>
      Effect.gen(function*() {
        const secretive = Pipeline.make("secretive")
          .work("skipped", { run: StageOutput.skip("hunter2") })
          .work("failed", {
            run: Effect.fail(new Broken("outer", { cause: Object.assign(new Error("inner"), { note: "hunter2" }) }))
          })
        const dying = Pipeline.make("dying").work("failed", {
          run: Effect.ensuring(
            Effect.fail(new Broken("outer")),
            Effect.die(Object.assign(new Error("last"), { note: "hunter2" }))
          )
        })
        for (const tried of [secretive, dying]) {
          yield* Effect.exit(Pipeline.run(tried, Snapshot.make({ pipelineRunId: "run" })))
          const run = yield* RunLog.get("run")
          assert.notInclude(JSON.stringify(run), "hunter2")
          assert.strictEqual(stageOf(run, "failed").status, "failed")
        }
      }).pipe(Effect.provide(layer({ redact: ({ path }) => path.includes("note") || path.includes("reason") }))))
  })
}

describe("RunLog", () => {
  it.effect("takes nothing from a sink beside it", () =>
    Effect.gen(function*() {
      yield* Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "run" }))
      const { events } = yield* EventSink.Memory
      const own = (yield* events).filter(({ runId }) => runId === "run")
      assert.deepStrictEqual((yield* RunLog.get("run")).events, own)
      assert.isTrue(own.some(Event.isRunEnd))
    }).pipe(Effect.provide([EventSink.layerMemory, RunLog.layerMemory()])))

  it.effect("a policy decides by pipeline, stage and field what is left out", () =>
    Effect.gen(function*() {
      yield* Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "run", inputText: "secret" }))
      const run = yield* RunLog.get("run")
      assert.deepInclude(stageOf(run, "name").output, { redacted: ["/data/name"] })
      assert.notInclude(JSON.stringify(stageOf(run, "name").output), "Ada")
      assert.notInclude(JSON.stringify(run.snapshot), "secret")
      assert.deepStrictEqual(stageOf(run, "greet").output._tag, "Kept")
    }).pipe(
      Effect.provide(RunLog.layerMemory({
        redact: ({ part, path, pipeline, stage }) =>
          pipeline === "greeting" && (stage === "name" && path.at(-1) === "name" && part === "output"
            || part === "snapshot" && path[0] === "inputText")
      }))
    ))

  it.effect("a policy that throws leaves the value out", () =>
    Effect.gen(function*() {
      yield* Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "run", inputText: "secret" }))
      const run = yield* RunLog.get("run")
      assert.strictEqual(run.status, "completed")
      assert.notInclude(JSON.stringify(run), "secret")
    }).pipe(
      Effect.provide(RunLog.layerMemory({
        redact: () => {
          throw new Error("no")
        }
      }))
    ))

  it.effect("what is too large, or no JSON, says so", () =>
    Effect.gen(function*() {
      const odd = Pipeline.make("odd")
        .transform("large", { run: Effect.succeed({ text: "x".repeat(1000) }) })
        .transform("instance", { run: Effect.sync(() => ({ of: new Thing() })) })
      yield* Pipeline.run(odd, Snapshot.make({ pipelineRunId: "run" }))
      const run = yield* RunLog.get("run")
      assert.deepInclude(stageOf(run, "large").output, { _tag: "NotKept", reason: "too_large" })
      assert.deepInclude(stageOf(run, "instance").output, { _tag: "NotKept", reason: "not_json" })
    }).pipe(Effect.provide(RunLog.layerMemory({ maxValueSize: 500 }))))
})

describe("RunLog, read by others", () => {
  const folderLayer = (folder: string, settings?: RunLog.Settings) =>
    RunLog.layerFile(folder, settings).pipe(Layer.provide(NodeFileSystem.layer))

  it.effect("a run whose process has died is lost, and is read as far as it had come", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const database = Sqlite.layer({ filename: `${folder}/runs.db` })
      const logs: ReadonlyArray<() => Layer.Layer<RunLog.RunLog, unknown>> = [
        () => folderLayer(`${folder}/files`),
        () => RunLog.layerSql().pipe(Layer.provide(database))
      ]
      const hanging = Pipeline.make("hanging")
        .transform("first", { run: Effect.succeed({ n: 1 }) })
        .work("second", { after: ["first"], run: Effect.never })
      for (const log of logs) {
        // A scope that is never closed is a process that says nothing more.
        const scope = yield* Scope.make()
        const dead = yield* Layer.buildWithScope(Layer.fresh(log()), scope)
        yield* Effect.forkIn(
          Effect.provideContext(Pipeline.run(hanging, Snapshot.make({ pipelineRunId: "run" })), dead),
          scope
        )
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* Effect.provideContext(RunLog.get("run"), dead)).status, "running")
        const others = Effect.gen(function*() {
          assert.strictEqual((yield* RunLog.get("run")).status, "running")
          assert.strictEqual((yield* RunLog.list({ status: "running" })).runs.length, 1)
        })
        yield* Effect.provide(others, Layer.fresh(log()))
        yield* Scope.close(scope, Exit.void)
        const later = Effect.gen(function*() {
          const run = yield* RunLog.get("run")
          assert.oneOf(run.status, ["lost", "interrupted"])
          assert.strictEqual(stageOf(run, "first").status, "ok")
        })
        yield* Effect.provide(later, Layer.fresh(log()))
      }
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("a process that is killed leaves a run that is lost", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const program = resolve(import.meta.dirname, "support/killed-run.ts")
      yield* Effect.promise(() =>
        new Promise<void>((done) => {
          const child = spawn(process.execPath, ["--conditions=stageflow-source", program, folder], { stdio: "ignore" })
          child.once("exit", () => done())
        })
      )
      yield* TestClock.setTime(Date.now() + 120_000)
      yield* Effect.gen(function*() {
        const run = yield* RunLog.get("killed")
        assert.strictEqual(run.status, "lost")
        assert.strictEqual(stageOf(run, "first").status, "ok")
        assert.strictEqual(stageOf(run, "second").status, "running")
        assert.deepStrictEqual((yield* RunLog.list({ status: "lost" })).runs.map(({ runId }) => runId), ["killed"])
      }).pipe(Effect.provide(folderLayer(folder)))
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("of a file that is damaged everything before the damage is read, and the rest is reported", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const system = yield* FileSystem.FileSystem
      for (const id of ["a", "b"]) {
        yield* Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: id })).pipe(
          Effect.provide(Layer.fresh(folderLayer(folder)))
        )
        yield* TestClock.adjust("1 second")
      }
      const [first = "", second = ""] = (yield* system.readDirectory(folder)).toSorted()
      const text = yield* system.readFileString(`${folder}/${first}`)
      yield* system.writeFileString(`${folder}/${first}`, `${text.split("\n").slice(0, 2).join("\n")}\n{"broken\n`)
      const cut = yield* system.readFileString(`${folder}/${second}`)
      yield* system.writeFileString(`${folder}/${second}`, cut.slice(0, -20))
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* RunLog.get("a")).status, "completed")
        assert.deepStrictEqual(
          (yield* RunLog.damages).map(({ reason }) => reason),
          ["The line is no part of a run", "Its last line is cut off"]
        )
      }).pipe(Effect.provide(Layer.fresh(folderLayer(folder))))
      yield* system.writeFileString(`${folder}/${first}`, "{\"stageflow\":\"runs\",\"version\":2}\n")
      yield* Effect.gen(function*() {
        const [damage] = yield* RunLog.damages
        assert.include(damage?.reason ?? "", "newer version (2)")
        assert.strictEqual((yield* Effect.flip(RunLog.get("a")))._tag, "RunNotFound")
      }).pipe(Effect.provide(Layer.fresh(folderLayer(folder))))
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("what is no file of runs, an empty one and one that is gone hide nothing of the others", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const system = yield* FileSystem.FileSystem
      const run = (id: string) => Pipeline.run(child, Snapshot.make({ pipelineRunId: id }))
      const filesIn = Effect.map(system.readDirectory(folder), (files) => files.toSorted())
      yield* run("before").pipe(Effect.provide(Layer.fresh(folderLayer(folder))))
      const [first = ""] = yield* filesIn
      yield* TestClock.adjust("1 second")
      yield* Effect.gen(function*() {
        yield* run("gone")
        yield* RunLog.list()
        const second = (yield* filesIn).at(-1) ?? ""
        yield* system.makeDirectory(`${folder}/${first.replace("0001", "0007")}`)
        yield* system.writeFileString(`${folder}/${first.replace("0001", "0008")}`, "")
        // As another process does that takes this one for dead.
        yield* system.remove(`${folder}/${second}`)
        yield* TestClock.adjust("1 second")
        yield* run("after")
        assert.include((yield* RunLog.list()).runs.map(({ runId }) => runId), "before")
        assert.deepStrictEqual((yield* RunLog.get("gone")).events, [])
        assert.match((yield* RunLog.damages).map(({ reason }) => reason).join(), /cannot be read.*It is empty/)
      }).pipe(Effect.provide(Layer.fresh(folderLayer(folder))))
      yield* Effect.gen(function*() {
        assert.deepStrictEqual((yield* RunLog.list()).runs.map(({ runId }) => runId), ["after", "before"])
      }).pipe(Effect.provide(Layer.fresh(folderLayer(folder))))
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("what of tables cannot be read is reported", () =>
    Effect.gen(function*() {
      const filename = `${yield* temporaryFolder}/runs.db`
      const log = () => Layer.fresh(RunLog.layerSql().pipe(Layer.provide(Sqlite.layer({ filename }))))
      for (const id of ["chunk", "summary", "itself", "whole"]) {
        yield* Pipeline.run(child, Snapshot.make({ pipelineRunId: id })).pipe(Effect.provide(log()))
      }
      const database = new DatabaseSync(filename)
      database.exec(`
        UPDATE stageflow_runs_chunks SET changes = '[{'
          WHERE run_key = (SELECT run_key FROM stageflow_runs WHERE run_id = 'chunk');
        UPDATE stageflow_runs SET summary = '{' WHERE run_id = 'summary';
        UPDATE stageflow_runs SET parent_key = run_key WHERE run_id = 'itself'`)
      database.close()
      yield* Effect.gen(function*() {
        assert.deepStrictEqual((yield* RunLog.damages).map(({ where }) => where).toSorted(), ["chunk", "summary"])
        assert.isDefined((yield* RunLog.get("chunk")).damage)
        assert.strictEqual((yield* RunLog.get("itself")).status, "completed")
        assert.strictEqual((yield* RunLog.get("whole")).status, "completed")
      }).pipe(Effect.provide(log()))
    }))

  it.effect("a store that fails changes nothing of a run; what it did not take is counted and reported", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const system = yield* FileSystem.FileSystem
      const full = Layer.succeed(FileSystem.FileSystem, {
        ...system,
        open: () => Effect.die("No space left on device")
      })
      const log = yield* Layer.build(
        RunLog.layerFile(folder, { buffer: { retry: Schedule.recurs(0), flushInterval: 0 } }).pipe(Layer.provide(full))
      )
      const result = yield* Pipeline.run(pipeline, Snapshot.make()).pipe(Effect.provideContext(log))
      assert.strictEqual(result._tag, "Completed")
      yield* Effect.ignore(RunLog.get("run")).pipe(Effect.provideContext(log))
      const { accepted, failed } = yield* RunLog.delivery.pipe(Effect.provideContext(log))
      assert.isAbove(accepted, 10)
      assert.strictEqual(failed, accepted)
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})
