// As much of XMLHttpRequest as the grpc-web client uses, over one HTTP/2 connection that all requests share, as in a browser.
'use strict';
const http2 = require('http2');

module.exports = (origin) => {
  let connection;
  const connect = () => {
    if (!connection || connection.closed || connection.destroyed) {
      connection = http2.connect(origin);
      connection.on('error', () => {});
    }
    return connection;
  };

  return class XMLHttpRequest {
    constructor() {
      Object.assign(this, {readyState: 0, status: 0, statusText: '', responseType: '', response: null, responseText: '',
        timeout: 0, ontimeout: null, onreadystatechange: null, withCredentials: false});
      this.asked = {};
      this.got = {};
      this.content = [];
    }

    open(method, url) {
      this.asked = {':method': method, ':path': url.slice(origin.length)};
      this.change(1);
    }

    setRequestHeader(name, value) { this.asked[name.toLowerCase()] = String(value); }
    getResponseHeader(name) { return this.got[name.toLowerCase()] ?? null; }

    getAllResponseHeaders() {
      return Object.entries(this.got).filter(([name]) => name[0] !== ':').map(([name, value]) => name + ': ' + value)
          .join('\r\n');
    }

    send(body) {
      this.stream = connect().request(this.asked);
      this.stream.on('response', (head) => {
        this.got = head;
        this.status = head[':status'];
        this.change(2);
      });
      this.stream.on('data', (data) => {
        this.content.push(data);
        if (this.responseType === '') this.responseText += data.toString('latin1');
        this.change(3);
      });
      this.stream.on('error', () => { this.status = 0; });
      this.stream.on('close', () => {
        if (this.stream.rstCode !== 0) this.status = 0;
        const whole = Buffer.concat(this.content);
        if (this.responseType === 'arraybuffer') {
          this.response = whole.buffer.slice(whole.byteOffset, whole.byteOffset + whole.length);
        }
        this.change(4);
      });
      this.stream.end(typeof body === 'string' ? body : Buffer.from(body));
    }

    abort() {
      if (this.stream) this.stream.close(http2.constants.NGHTTP2_CANCEL);
    }

    change(to) {
      this.readyState = to;
      if (this.onreadystatechange) this.onreadystatechange();
    }
  };
};
