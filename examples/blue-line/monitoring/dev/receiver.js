// Takes the messages of Alertmanager that would go to Slack, and its heartbeat. GET shows them.
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { HOST, listen } from './processes.js';

export class Receiver {
  /** All that came: `channel` is slack or heartbeat, `message` what was sent. */
  received = [];

  /** @param onMessage is called with each. */
  constructor(onMessage = () => {}) {
    this.server = createServer(async (request, response) => {
      const channel = request.url.slice(1);
      if (!['slack', 'heartbeat'].includes(channel)) return response.writeHead(404).end();
      if (request.method !== 'POST') {
        response.setHeader('content-type', 'application/json');
        return response.end(JSON.stringify(this.from(channel)));
      }
      try {
        const entry = { channel, at: Date.now(), message: await json(request) };
        this.received.push(entry);
        onMessage(entry);
        // Slack's own answer.
        response.end('ok');
      } catch {
        response.writeHead(400).end('invalid_payload');
      }
    });
  }

  async start() {
    this.port = await listen(this.server);
  }

  /** The messages of one channel. */
  from = (channel) =>
    this.received.filter((entry) => entry.channel === channel).map(({ message }) => message);

  url = (channel) => `http://${HOST}:${this.port}/${channel}`;

  async end() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** A message to Slack as a text for the terminal: links as `text (address)`. */
export const readable = ({ channel, attachments = [] }) =>
  attachments
    .map(({ title, text }) => `${channel}: ${title}\n${text}`)
    .join('\n')
    .replace(/<([^|>]+)\|([^>]+)>/g, '$2 ($1)')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');
