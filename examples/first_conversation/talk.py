import os

import requests
import socketio

URL = os.environ.get("PARLEY_URL", "http://127.0.0.1:8000")
ADA = {"email": "ada@example.com", "password": "correct horse battery"}
http = requests.Session()

http.post(f"{URL}/register", json=ADA)
http.headers["Authorization"] = "Bearer " + http.post(f"{URL}/auth/login", json=ADA).json()["access_token"]
workspace = http.post(f"{URL}/workspace", json={"name": "First steps"}).json()["workspace"]["workspace_id"]
http.post(f"{URL}/workspace/{workspace}/agent", json={"agent_id": "echo"})
chat = http.post(f"{URL}/chat?workspace_id={workspace}").json()["chat"]["chat_id"]

with socketio.SimpleClient() as talk:
    entry = http.get(f"{URL}/chat/authorize?chat_id={chat}").json()["connection_string"]
    talk.connect(URL, namespace="/chat", auth={"connection_string": entry, "since": 0})
    string = http.get(f"{URL}/chat/authorize/message?chat_id={chat}").json()["message_string"]
    print(talk.call("message", {"message_string": string, "content": "Hello, agent"}))
    heard = {}
    while heard.get("role") != "assistant":
        event, heard = talk.receive(timeout=30)
        print(event, heard)
