// Every word of the page, in both languages.

export const STRINGS = {
  en: {
    title: "Manyfill",
    headline: "Paint over it.\nPick what takes its place.",
    lead: "Drop a photo here, paste one, or",
    choose: "Choose a photo",
    orSample: "Or try one of these",
    private: "Your photo goes only to the server that shows this page.",
    "sample.farm": "Hill farm", "sample.beach": "Beach", "sample.canyon": "Canyon", "sample.clouds": "Above the clouds",
    dropHere: "Drop the photo",

    open: "Open another photo",
    undo: "Undo", redo: "Redo",
    download: "Download", downloadMenu: "Other file formats",
    downloadSame: "As the photo came ({kind})",
    downloadPng: "PNG, every untouched pixel exact",
    languageOther: "中文", language: "Language: 中文",
    theme: "Light or dark", help: "Keys and help",

    tools: "Tools for painting the hole",
    brush: "Brush", eraser: "Eraser", rectangle: "Rectangle", lasso: "Lasso",
    size: "Brush size", mask: "Load a mask picture", clear: "Clear what is painted", fit: "Show the whole photo",
    canvas: "The photo. Paint with the pointer; by keyboard: arrow keys move the brush, D puts it down and lifts it, Enter fills.",

    hintPaint: "Paint over what should go",
    hintReady: "Press Fill when all of it is covered",
    hintSample: "A hole is painted for you: press Fill, or paint your own",
    hintRegion: "Paint on a fill to redo a part of it, or to take that part from another",

    strip: "Fills, best first",
    photoCell: "Photo", photoCellLabel: "The photo with its hole",
    fillLabel: "Fill {number}", fillMixed: "Fill {number}, mixed from others", sketchLabel: "Sketch, being finished",
    best: "Best",
    fill: "Fill", stop: "Stop", again: "More fills",
    options: "Options", count: "How many fills", variety: "Variety", model: "Model",
    varietyLow: "likely", varietyHigh: "surprising",

    like: "More like this", unlike: "More different", compare: "Before / after", heat: "Where fills differ",
    heatLegend: "Bright: the fills disagree, so this part is a guess",
    refill: "Fill this part", take: "Take this part from", takeFrom: "Take this part from fill {number}",
    dropRegion: "Never mind",
    before: "Before", after: "After",
    position: "Where before ends and after begins, in percent",

    working: "Drawing sketches …", finishing: "Finishing fill {number} of {total} …",
    merging: "Joining the two …", saving: "Writing the file …", opening: "Opening the photo …",
    sentReady: "Fill {number} is ready.", allReady: "{total} fills are ready. Keys 1 to 9 show them.",
    oneReady: "The fill is ready.",
    stopped: "Stopped.", opened: "{name} is open, {width} by {height} pixels.", saved: "{name} is downloaded.",
    undone: "Undone.", redone: "Redone.", nothingUndo: "Nothing to undo.", nothingRedo: "Nothing to redo.",
    penDown: "Brush is down.", penUp: "Brush is up.",
    size_is: "Brush {size} pixels wide.",

    needHole: "Paint over a part of the photo first.",
    needFill: "There is no fill to download yet.",
    retry: "Try again", dismiss: "Close",

    token: "This server asks for a token",
    tokenLead: "Whoever runs it can tell you. It is kept until you close this tab.",
    tokenField: "Token", tokenGo: "Continue", tokenWrong: "That is not the token.",

    keys: "Keys",
    keyFill: "Fill", keySave: "Download", keyUndo: "Undo, redo", keyTools: "Brush, eraser, rectangle, lasso",
    keySize: "Brush smaller, larger", keyChoose: "Show a fill; 0 the photo", keyOriginal: "Hold: the original",
    keyPan: "Hold and drag: move the photo", keyZoom: "Zoom; whole photo", keyWheel: "wheel, + −, F",
    keyCompare: "Before / after", keyHeat: "Where fills differ", keyArrows: "Move the brush by keyboard",
    keyPen: "Brush down, up", keyStop: "Stop, close, leave", keyHelp: "This sheet",
    keySpace: "Space", keyTab: "Tab", keyEnter: "Enter", keyEsc: "Esc", arrows: "arrows",

    "error.no_connection": "The server cannot be reached. Your photo and what you painted are still here.",
    "error.unknown": "The server failed at this. Your photo and what you painted are still here.",
    "error.photoUnreadable": "This file is not a photo that can be opened. JPEG, PNG, WebP, TIFF, HEIC and AVIF can.",
    "error.maskUnreadable": "This file is not a picture that can be read as a mask.",
    "error.maskShape": "The mask has another shape than the photo. Use one of the same width and height.",
    "error.maskEmpty": "Nothing in this mask says what to fill: white or transparent means fill.",
    "error.too_many_bytes": "The photo has {size} MB, the server takes {limit} MB. Use a smaller one.",
    "error.too_many_pixels": "The photo has {size} million pixels, the server takes {limit}. Use a smaller one.",
    "error.loading": "The server is still loading its model. Try again in a moment.",
    "error.model_not_loaded": "The server could not load its model: {message}",
    "error.rate_limit_exceeded": "The server is busy. Try again in a few seconds.",
    "error.timeout": "This took longer than the server allows. Ask for fewer fills, or use a smaller photo.",
    "error.result_expired": "The server no longer keeps this fill. Fill again.",
  },
  zh: {
    title: "Manyfill",
    headline: "涂掉不要的，\n挑选新的。",
    lead: "把照片拖到这里、粘贴，或者",
    choose: "选择照片",
    orSample: "也可以先试试这些",
    private: "照片只会发送到提供此页面的服务器。",
    "sample.farm": "山丘农庄", "sample.beach": "海滩", "sample.canyon": "峡谷", "sample.clouds": "云海",
    dropHere: "松开以打开照片",

    open: "打开其他照片",
    undo: "撤销", redo: "重做",
    download: "下载", downloadMenu: "其他格式",
    downloadSame: "与原照片相同（{kind}）",
    downloadPng: "PNG，未涂部分逐像素不变",
    languageOther: "EN", language: "语言：English",
    theme: "浅色或深色", help: "按键与帮助",

    tools: "涂抹工具",
    brush: "画笔", eraser: "橡皮", rectangle: "矩形", lasso: "套索",
    size: "画笔大小", mask: "载入蒙版图片", clear: "清除涂抹", fit: "显示整张照片",
    canvas: "照片。用指针涂抹；用键盘：方向键移动画笔，D 落笔或抬笔，回车填充。",

    hintPaint: "涂抹要去掉的部分",
    hintReady: "全部盖住后点“填充”",
    hintSample: "已为您涂好一处：点“填充”，或自己涂",
    hintRegion: "在填充结果上涂抹，可重做这一部分，或改用另一结果的这一部分",

    strip: "填充结果，最好的在前",
    photoCell: "照片", photoCellLabel: "照片与涂抹区域",
    fillLabel: "结果 {number}", fillMixed: "结果 {number}，由其他结果拼合", sketchLabel: "草图，正在完善",
    best: "最佳",
    fill: "填充", stop: "停止", again: "更多结果",
    options: "选项", count: "结果数量", variety: "变化程度", model: "模型",
    varietyLow: "稳妥", varietyHigh: "出人意料",

    like: "更多相似", unlike: "更多不同", compare: "前后对比", heat: "分歧之处",
    heatLegend: "越亮，各结果分歧越大：此处只是猜测",
    refill: "填充这部分", take: "这一部分取自", takeFrom: "这一部分取自结果 {number}",
    dropRegion: "取消",
    before: "之前", after: "之后",
    position: "前后分界的位置，百分比",

    working: "正在画草图……", finishing: "正在完善第 {number} 个，共 {total} 个……",
    merging: "正在拼合……", saving: "正在写文件……", opening: "正在打开照片……",
    sentReady: "结果 {number} 已完成。", allReady: "{total} 个结果已完成。按 1 到 9 查看。",
    oneReady: "结果已完成。",
    stopped: "已停止。", opened: "已打开 {name}，{width} × {height} 像素。", saved: "已下载 {name}。",
    undone: "已撤销。", redone: "已重做。", nothingUndo: "没有可撤销的操作。", nothingRedo: "没有可重做的操作。",
    penDown: "已落笔。", penUp: "已抬笔。",
    size_is: "画笔宽 {size} 像素。",

    needHole: "请先涂抹照片的一部分。",
    needFill: "还没有可下载的结果。",
    retry: "重试", dismiss: "关闭",

    token: "此服务器需要令牌",
    tokenLead: "请向服务器的管理者索取。关闭此标签页后不再保留。",
    tokenField: "令牌", tokenGo: "继续", tokenWrong: "令牌不正确。",

    keys: "按键",
    keyFill: "填充", keySave: "下载", keyUndo: "撤销、重做", keyTools: "画笔、橡皮、矩形、套索",
    keySize: "画笔缩小、放大", keyChoose: "查看结果；0 为照片", keyOriginal: "按住：看原图",
    keyPan: "按住并拖动：移动照片", keyZoom: "缩放；整张照片", keyWheel: "滚轮、+ −、F",
    keyCompare: "前后对比", keyHeat: "分歧之处", keyArrows: "用键盘移动画笔",
    keyPen: "落笔、抬笔", keyStop: "停止、关闭、离开", keyHelp: "本页",
    keySpace: "空格", keyTab: "Tab", keyEnter: "回车", keyEsc: "Esc", arrows: "方向键",

    "error.no_connection": "无法连接服务器。照片和涂抹都还在。",
    "error.unknown": "服务器处理失败。照片和涂抹都还在。",
    "error.photoUnreadable": "无法将此文件作为照片打开。支持 JPEG、PNG、WebP、TIFF、HEIC 和 AVIF。",
    "error.maskUnreadable": "无法将此文件作为蒙版读取。",
    "error.maskShape": "蒙版与照片的形状不同。请使用宽高相同的蒙版。",
    "error.maskEmpty": "此蒙版没有标出要填充的部分：白色或透明表示填充。",
    "error.too_many_bytes": "照片有 {size} MB，服务器最多接受 {limit} MB。请换一张小一些的。",
    "error.too_many_pixels": "照片有 {size} 百万像素，服务器最多接受 {limit} 百万。请换一张小一些的。",
    "error.loading": "服务器还在载入模型，请稍后再试。",
    "error.model_not_loaded": "服务器无法载入模型：{message}",
    "error.rate_limit_exceeded": "服务器正忙，请过几秒再试。",
    "error.timeout": "超过了服务器允许的时间。请减少结果数量，或换一张小一些的照片。",
    "error.result_expired": "服务器已不再保留这个结果，请重新填充。",
    "error.request_too_large": "请求超过了服务器接受的大小。请换一张小一些的照片。",
    "error.image_too_large": "照片的像素超过了服务器接受的数量。请换一张小一些的。",
    "error.invalid_image_file": "服务器无法读取这张照片：{message}",
    "error.invalid_mask": "服务器无法使用这处涂抹：{message}",
    "error.invalid_api_key": "令牌不正确。",
    "error.model_not_found": "此服务器没有这个模型。",
    "error.unknown_host": "此服务器不接受用这个名称访问：{message}",
  },
};

let language = "en";

/** Take the language that was chosen here, else the browser's. */
export function startLanguage() {
  const chosen = localStorage.getItem("manyfill.language");
  const theirs = navigator.languages?.find((one) => /^(zh|en)\b/i.test(one)) ?? "en";
  setLanguage(chosen in STRINGS ? chosen : theirs.slice(0, 2).toLowerCase());
}

export function setLanguage(name) {
  language = name;
  document.documentElement.lang = name === "zh" ? "zh-Hans" : "en";
}

export function otherLanguage() {
  const other = language === "en" ? "zh" : "en";
  localStorage.setItem("manyfill.language", other);
  setLanguage(other);
}

export function knows(key) {
  return key in STRINGS[language];
}

/** A string in the page's language, with {name}s replaced. */
export function text(key, values = {}) {
  const found = STRINGS[language][key] ?? STRINGS.en[key] ?? key;
  return found.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}
