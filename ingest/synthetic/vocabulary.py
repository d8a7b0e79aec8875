"""Words of the synthetic world: names, roles, places, employers, handsets and the numbers everybody knows."""

from __future__ import annotations

import numpy as np
import polars as pl


def _words(text: str) -> list[str]:
    return text.split()


SURNAMES = _words(
    "王 李 张 刘 陈 杨 黄 赵 吴 周 徐 孙 马 朱 胡 郭 何 林 高 罗 "
    "郑 梁 谢 宋 唐 许 韩 冯 邓 曹 彭 曾 肖 田 董 袁 潘 于 蒋 蔡 "
    "余 杜 叶 程 苏 魏 吕 丁 任 沈 姚 卢 姜 崔 钟 谭 陆 汪 范 金 "
    "石 廖 贾 夏 韦 付 方 白 邹 孟 熊 秦 邱 江 尹 薛 闫 段 雷 侯 "
    "龙 史 陶 黎 贺 顾 毛 郝 龚 邵 万 钱 严 覃 武 戴 莫 孔 向 汤 "
)
_GIVEN = _words(
    "伟 芳 娜 敏 静 丽 强 磊 军 洋 勇 艳 杰 娟 涛 明 超 秀 霞 平 "
    "刚 桂 英 华 玉 兰 梅 建 国 志 红 文 斌 辉 鹏 飞 鑫 波 宇 浩 "
    "凯 俊 峰 博 雪 琳 婷 欣 怡 佳 雨 晨 泽 萱 梓 涵 子 轩 思 琪 "
    "一 诺 可 心 嘉 瑞 冬 春 秋 月 云 海 山 林 川 "
)
GIVEN_NAMES = _GIVEN + [a + b for i, a in enumerate(_GIVEN) for b in _GIVEN[(i * 7) % 5 :: 5]]
ROLE_WORDS = {
    "spouse": ["老婆", "老公", "亲爱的", "媳妇"],
    "parent": ["妈妈", "爸爸", "老妈", "老爸", "妈", "爸"],
    "child": ["儿子", "女儿", "宝贝"],
    "sibling": ["哥", "姐姐", "弟弟", "老妹"],
    "relative": ["二舅", "三姨", "表哥", "堂弟", "大伯", "姑姑"],
    "colleague": ["老板", "同事小李", "主管", "人事王姐", "车间主任"],
    "friend": ["死党", "老铁", "发小", "闺蜜", "同学"],
    "other": ["房东", "中介", "师傅", "邻居"],
}
_TRADES = _words("快递 外卖 房东 装修 修车 中介 送水 物业 老板 医生 司机 教练 客服 保险 贷款 驾校 ")


def _book_names() -> pl.Series:
    """Two thousand ways an address book names somebody, the commonest kinds first."""
    rng = np.random.default_rng(20_240_501)
    surnames, given = rng.choice(SURNAMES, 2_000), rng.choice(GIVEN_NAMES, 2_000)
    trades = rng.choice(_TRADES, 2_000)
    forms = rng.integers(0, 20, 2_000)
    names = []
    for surname, name, trade, form in zip(surnames, given, trades, forms, strict=True):
        if form < 10:
            names.append(surname + name)
        else:
            last = name[-1]
            nicknames = [f"小{surname}", f"老{surname}", f"阿{last}", f"{surname}哥", f"{surname}姐", f"{surname}总"]
            nicknames += [trade, trade + surname, f"{surname}师傅", f"{name}（新）"]
            names.append(nicknames[form - 10])
    return pl.Series("name", names, dtype=pl.String)


BOOK_NAMES = _book_names()

_PLACES = _words(
    "北京市|朝阳区 北京市|海淀区 上海市|浦东新区 上海市|徐汇区 "
    "广东省深圳市|宝安区 广东省深圳市|龙岗区 广东省广州市|天河区 "
    "广东省东莞市|长安镇 浙江省杭州市|西湖区 浙江省宁波市|海曙区 "
    "浙江省温州市|鹿城区 江苏省南京市|玄武区 江苏省苏州市|姑苏区 "
    "江苏省无锡市|滨湖区 四川省成都市|武侯区 四川省绵阳市|涪城区 "
    "重庆市|渝中区 湖北省武汉市|江岸区 湖南省长沙市|岳麓区 "
    "河南省郑州市|金水区 河北省石家庄市|长安区 山东省济南市|历下区 "
    "山东省青岛市|市南区 福建省福州市|鼓楼区 福建省厦门市|思明区 "
    "江西省南昌市|东湖区 安徽省合肥市|庐阳区 陕西省西安市|雁塔区 "
    "辽宁省沈阳市|和平区 辽宁省大连市|中山区 吉林省长春市|南关区 "
    "黑龙江省哈尔滨市|道里区 云南省昆明市|五华区 贵州省贵阳市|云岩区 "
    "广西南宁市|青秀区 海南省海口市|龙华区 山西省太原市|小店区 "
    "甘肃省兰州市|城关区 天津市|和平区 内蒙古呼和浩特市|新城区 "
)
PLACES = [(city, district) for city, _, district in (place.partition("|") for place in _PLACES)]
_ROADS = _words("人民 解放 中山 建设 和平 新华 文化 长江 黄河 幸福 朝阳 胜利 友谊 东风 光明 迎宾 学府 滨河 工业 科技 ")
ROADS = [road + kind for road in _ROADS for kind in ("路", "街", "大道", "东路", "西路")]
_WORDS = _words(
    "华 鑫 盛 达 恒 信 宏 泰 瑞 丰 嘉 禾 东 方 天 利 金 源 创 德 "
    "永 安 博 远 联 众 智 汇 诚 卓 越 聚 同 兴 旺 飞 腾 佳 美 顺 "
    "康 "
)
_INDUSTRIES = _words("网络科技 电子 商贸 物流 建筑工程 餐饮管理 服饰 机械制造 装饰设计 物业服务 教育咨询 医药 ")
HANDSETS = [
    ("android", "HUAWEI Mate 60"), ("android", "HUAWEI nova 12"), ("android", "Xiaomi 14"), ("android", "Redmi 13"),
    ("android", "OPPO A3"), ("android", "OPPO Reno12"), ("android", "vivo Y100"), ("android", "vivo X100"),
    ("android", "HONOR 200"), ("android", "HONOR X50"), ("ios", "iPhone 13"), ("ios", "iPhone 15"),
]  # fmt: skip
CARRIERS = ["中国移动", "中国联通", "中国电信", "中国广电"]
ONLINE = _words("app h5 wechat partner-a partner-b campaign ")
PRODUCTS = ["cash", "installment", "car", "merchant"]
CITY_CENTERS = np.array([[39.9, 116.4], [31.2, 121.5], [22.5, 114.1], [23.1, 113.3], [30.3, 120.2], [30.6, 104.1]])

# Numbers in everybody's book or calls: banks, carriers, emergency lines, hotlines.
SERVICES = np.array(
    [95588, 95533, 95555, 95599, 95566, 95338, 95311, 95543, 10086, 10010, 10000, 12306, 12345, 4008123123, 4008823823,
     4006668800, 4000000999, 4008108888, 4008208820, 95118, 95187],
    dtype=np.int64,
)  # fmt: skip
SERVICE_NAMES = pl.Series(
    _words(
        "工商银行 建设银行 招商银行 农业银行 中国银行 顺丰 中通快递 申通快递 中国移动 "
        "中国联通 中国电信 铁路客服 市民热线 麦当劳 肯德基 美团客服 客服 售后 "
        "维修热线 京东 支付宝 "
    )
)


def employer_name(code: int) -> str:
    """Company name of an employer code, distinct for codes below 2 * 10**7."""
    city = PLACES[code % 40][0]
    code //= 40
    words = "".join(_WORDS[code // len(_WORDS) ** place % len(_WORDS)] for place in range(3))
    return f"{city}{words}{_INDUSTRIES[code // len(_WORDS) ** 3 % len(_INDUSTRIES)]}有限公司"


def house_name(code: int) -> str:
    """Street and house number of a house code, distinct for codes below 2 * 10**7."""
    place, district = PLACES[code % 40]
    code //= 40
    return f"{place}{district}{ROADS[code % 100]}{code // 100 + 1}号"
