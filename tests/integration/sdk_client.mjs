// The official Node clients, told by lines of JSON what to ask; see sdk_errors_test.py.

import {createInterface} from 'node:readline';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

function ask(order) {
  const body = {
    model: order.model, max_tokens: order.max_tokens, stream: order.stream,
    messages: [{role: 'user', content: order.content}],
  };
  const options = {apiKey: 'x', maxRetries: 0, timeout: 120_000};
  if (order.sdk === 'openai') {
    return new OpenAI({...options, baseURL: order.url + '/v1'}).chat.completions.create(body);
  }
  return new Anthropic({...options, baseURL: order.url}).messages.create(body);
}

function facts(error) {
  const classes = [];
  for (let kind = error.constructor; kind?.name; kind = Object.getPrototypeOf(kind)) {
    classes.push(kind.name);
  }
  return {classes, http: error.status ?? null, type: error.type ?? null,
    error: error.error?.error ?? error.error ?? {}, message: String(error.message)};
}

const say = (what) => process.stdout.write(JSON.stringify(what) + '\n');
for await (const line of createInterface({input: process.stdin})) {
  const order = JSON.parse(line);
  try {
    const answer = await ask(order);
    if (order.stream) {
      say({begun: true});
      for await (const _ of answer);
    }
    say({classes: []});
  } catch (error) {
    say(facts(error));
  }
}
