// The official `openai` client against a real daemon: what applications do, they do through it.

import assert from 'node:assert/strict';
import {spawn, execFileSync} from 'node:child_process';
import {mkdtempSync, writeFileSync, rmSync, mkdirSync} from 'node:fs';
import {homedir, tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, before, test} from 'node:test';
import OpenAI from 'openai';

const build = process.env.TONNAGE_BUILD_DIR;
const cache = process.env.TONNAGE_CACHE_DIR
    || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tonnage');
const models = join(cache, 'test-models', 'test');
const folder = mkdtempSync(join(tmpdir(), 'tonnage-test-'));
let daemon, client, decoders, embedder, base;

before(async () => {
  mkdirSync(models, {recursive: true});
  execFileSync(join(build, 'tonnage-demo-models'), [models, '--preset', 'test']);
  const env = {...process.env, TONNAGE_RUNTIME_DIR: join(folder, 'run')};
  delete env.TONNAGE_BUILD_DIR;
  delete env.TONNAGE_ENGINE_DIR;
  const config = join(folder, 'tonnage.yaml');
  writeFileSync(config, JSON.stringify({
    budgets: {host: {limit: '200MiB'}},
    defaults: {context: 1024, slots: 2},
    keys: [{name: 'app', key: 'secret-of-the-app', scopes: ['infer', 'read']}],
  }));
  daemon = spawn(join(build, 'tonnage'),
      ['serve', '--config', config, '--models', models, '--listen', '127.0.0.1:0'],
      {env, stdio: ['ignore', 'pipe', 'inherit']});
  base = await new Promise((resolve, reject) => {
    let text = '';
    daemon.stdout.on('data', (piece) => {
      text += piece;
      const found = text.match(/ at (http:\/\/127\.0\.0\.1:\d+)/);
      if (found) resolve(found[1]);
    });
    daemon.on('exit', () => reject(new Error(`the daemon ended: ${text}`)));
  });
  client = new OpenAI({apiKey: 'secret-of-the-app', baseURL: base + '/v1', maxRetries: 0});
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  embedder = names.find((name) => name.includes('embed'));
  decoders = names.filter((name) => name !== embedder && name !== 'resident');
});

after(async () => {
  daemon.removeAllListeners('exit');
  daemon.kill('SIGTERM');
  await new Promise((resolve) => daemon.once('exit', resolve));
  rmSync(folder, {recursive: true});
});

const ask = (model, more = {}) => ({
  model, max_tokens: 8, messages: [{role: 'user', content: 'Hello'}], ...more,
});

test('models lists every configured model with its state', async () => {
  const list = await client.models.list();
  assert.ok(decoders.length >= 3);
  assert.ok(embedder);
  for (const model of list.data) assert.equal(model.object, 'model');
  assert.ok(list.data.find((model) => model.id === decoders[0]).tonnage.state);
  const one = await client.models.retrieve(decoders[0]);
  assert.equal(one.id, decoders[0]);
});

test('chat answers from the model that was asked', async () => {
  for (const model of decoders) {
    const answer = await client.chat.completions.create(ask(model));
    assert.ok(answer.choices[0].message.content.startsWith(model + ':'));
    assert.equal(answer.usage.completion_tokens, 8);
  }
});

test('streaming arrives in pieces', async () => {
  const stream = await client.chat.completions.create(ask(decoders[0], {stream: true}));
  const pieces = [];
  for await (const event of stream) {
    if (event.choices[0]?.delta?.content) pieces.push(event.choices[0].delta.content);
  }
  assert.ok(pieces.length >= 6, `${pieces.length} pieces`);
  assert.ok(pieces.join('').startsWith(decoders[0] + ':'));
});

test('completions, responses and embeddings', async () => {
  const completion = await client.completions.create(
      {model: decoders[1], prompt: 'Hello', max_tokens: 4});
  assert.ok(completion.choices[0].text.startsWith(decoders[1] + ':'));
  const response = await client.responses.create(
      {model: decoders[0], input: 'Hello', max_output_tokens: 16});
  assert.ok(response.output_text.startsWith(decoders[0] + ':'));
  const vectors = await client.embeddings.create({model: embedder, input: ['one', 'two']});
  assert.equal(vectors.data.length, 2);
  assert.ok(vectors.data[0].embedding.length > 8);
});

test('errors are what the client expects', async () => {
  await assert.rejects(client.chat.completions.create(ask('no-such-model')), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, 'model_not_found');
    return true;
  });
  const stranger = new OpenAI({apiKey: 'wrong', baseURL: base + '/v1', maxRetries: 0});
  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
  const status = await fetch(base + '/api/memory/flush',
      {method: 'POST', headers: {authorization: 'Bearer secret-of-the-app'}});
  assert.equal(status.status, 403, 'a key without admin cannot flush');
});

test('abort ends the request and its lease', async () => {
  const stream = await client.chat.completions.create(
      ask(decoders[0], {stream: true, max_tokens: 900}));
  let pieces = 0;
  for await (const event of stream) {
    if (event.choices[0]?.delta?.content && ++pieces === 3) break;
  }
  stream.controller.abort();
  const leases = async () => {
    const answer = await fetch(base + '/api/memory/status',
        {headers: {authorization: 'Bearer secret-of-the-app'}});
    return (await answer.json()).leases;
  };
  const deadline = Date.now() + 10_000;
  while (await leases() > 0) assert.ok(Date.now() < deadline, 'the lease ends');
});
